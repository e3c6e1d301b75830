module github.com/traefik-mp4/mp4

go 1.21

require github.com/traefik/plugindemo v0.2.2
