// Package ext stands for the extension points of Traefik's dynamic configuration, which are empty in its own build too.
package ext

// HTTP would extend the http section.
type HTTP struct{}

// Router would extend a router.
type Router struct{}
