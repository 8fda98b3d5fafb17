// Package suite holds what the suites of Go clients share: the checks, written once against what every client can do,
// the report of their results, and members of groups that run side by side.
package suite

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"time"
)

const controlDeadline = 2 * time.Minute

// Orders are the orders of the runner, taken from the environment.
var Orders = struct {
	Bootstrap string
	Control   string
	Prefix    string
	Full      bool
}{
	Bootstrap: environment("BOOTSTRAP", "127.0.0.1:9092"),
	Control:   environment("CONTROL", ""),
	Prefix:    environment("PREFIX", fmt.Sprintf("by-hand-%d-", os.Getpid())),
	Full:      environment("PROFILE", "short") == "full",
}

// ModuleVersion is the version of a library that the program was built with, without the leading v.
func ModuleVersion(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version[1:]
		}
	}
	return "unknown"
}

// restartBroker has the broker killed and started again; returns when it is ready.
func restartBroker(ctx context.Context) error {
	if Orders.Control == "" {
		return Skip("CONTROL is not set: nobody restarts the broker")
	}
	ctx, cancel := context.WithTimeout(ctx, controlDeadline)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, Orders.Control+"/restart", http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(response.Body)
		return fmt.Errorf("restart of the broker: %s: %s", response.Status, reason)
	}
	return nil
}

func environment(name, otherwise string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return otherwise
}
