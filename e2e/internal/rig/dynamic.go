package rig

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// Dynamic is the http section of a dynamic configuration: routers, middlewares and services by name, as Traefik's reference spells them.
type Dynamic struct {
	Routers           map[string]Router `yaml:"routers,omitempty"`
	Middlewares       map[string]any    `yaml:"middlewares,omitempty"`
	Services          map[string]any    `yaml:"services,omitempty"`
	ServersTransports map[string]any    `yaml:"serversTransports,omitempty"`
}

// Router is one router.
type Router struct {
	Rule        string   `yaml:"rule"`
	EntryPoints []string `yaml:"entryPoints,omitempty"`
	Middlewares []string `yaml:"middlewares,omitempty"`
	Service     string   `yaml:"service"`
	Priority    int      `yaml:"priority,omitempty"`
}

// Map is a piece of configuration.
type Map = map[string]any

// Host adds a router for requests to that host through the named middlewares to an origin, and the service for it.
func (d *Dynamic) Host(host, origin string, middlewares ...string) {
	d.Route(host, Router{Rule: fmt.Sprintf("Host(`%s`)", host), Service: host, Middlewares: middlewares})
	d.Service(host, origin)
}

// Route adds a router.
func (d *Dynamic) Route(name string, router Router) {
	if d.Routers == nil {
		d.Routers = map[string]Router{}
	}
	d.Routers[name] = router
}

// Service adds a service that balances over the origins.
func (d *Dynamic) Service(name string, origins ...string) {
	var servers []Map
	for _, origin := range origins {
		servers = append(servers, Map{"url": origin})
	}
	if d.Services == nil {
		d.Services = map[string]any{}
	}
	d.Services[name] = Map{"loadBalancer": Map{"servers": servers}}
}

// Plugin adds a middleware that is the plugin "mp4" with the given options.
func (d *Dynamic) Plugin(name string, options Map) {
	if options == nil {
		options = Map{}
	}
	d.Middleware(name, Map{"plugin": Map{"mp4": options}})
}

// Middleware adds a middleware, such as Map{"compress": Map{}}.
func (d *Dynamic) Middleware(name string, middleware any) {
	if d.Middlewares == nil {
		d.Middlewares = map[string]any{}
	}
	d.Middlewares[name] = middleware
}

func readyPath(generation int) string { return fmt.Sprintf("/.rig/%d", generation) }

// yaml renders the configuration with a router at this generation's address.
func (d Dynamic) yaml(generation int) ([]byte, error) {
	routers := map[string]Router{}
	for name, router := range d.Routers {
		routers[name] = router
	}
	routers["rig"] = Router{
		Rule:        fmt.Sprintf("Host(`rig`) && Path(`%s`)", readyPath(generation)),
		EntryPoints: []string{"web"},
		Service:     "ping@internal",
	}
	d.Routers = routers
	return yaml.Marshal(map[string]Dynamic{"http": d})
}
