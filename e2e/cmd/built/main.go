// Command built prints the path of what the tests of the providers need beside Debian's packages, building it first where
// it is not in the user's cache yet: built traefik|older|kubernetes|s3.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

var builds = map[string]func(context.Context, io.Writer) (string, error){
	"traefik":    rig.Build,
	"older":      rig.BuildOlder,
	"kubernetes": rig.BuildKubernetes,
	"s3":         rig.BuildS3,
}

func main() {
	if len(os.Args) != 2 || builds[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: built traefik|older|kubernetes|s3")
		os.Exit(2)
	}
	path, err := builds[os.Args[1]](context.Background(), os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
