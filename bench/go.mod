module github.com/traefik-mp4/mp4/bench

go 1.26.0

require (
	github.com/google/pprof v0.0.0-20261016150608-1facf8f91b50
	github.com/traefik-mp4/mp4/e2e v0.0.0
	github.com/traefik/yaegi v0.16.1
)

require (
	github.com/Eyevinn/mp4ff v0.51.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)

replace (
	github.com/traefik-mp4/mp4 => ../
	github.com/traefik-mp4/mp4/e2e => ../e2e
)
