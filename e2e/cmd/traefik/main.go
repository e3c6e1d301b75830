// Command traefik prints the path of a Traefik v3 binary, building it first where there is none.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

func main() {
	bin, err := rig.Build(context.Background(), os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(bin)
}
