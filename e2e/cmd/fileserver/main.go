// Command fileserver serves the folder that the nginx image serves, on the port that it listens on: it takes nginx's place in
// images that are made from nothing.
package main

import (
	"log"
	"net/http"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

func main() {
	log.Fatal(http.ListenAndServe(":80", rig.Files("/usr/share/nginx/html")))
}
