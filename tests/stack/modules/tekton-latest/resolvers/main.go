// Command resolvers is Tekton's own cmd/resolvers, with one difference: its probes listen on
// PROBES_PORT, as those of Tekton's other processes do. Upstream's port is fixed at 8080, so that
// two stacks could not run side by side, nor one beside anything else on that port.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/tektoncd/pipeline/pkg/apis/resolution/v1alpha1"
	"github.com/tektoncd/pipeline/pkg/remoteresolution/resolver/bundle"
	"github.com/tektoncd/pipeline/pkg/remoteresolution/resolver/cluster"
	"github.com/tektoncd/pipeline/pkg/remoteresolution/resolver/framework"
	"github.com/tektoncd/pipeline/pkg/remoteresolution/resolver/git"
	"github.com/tektoncd/pipeline/pkg/remoteresolution/resolver/http"
	"github.com/tektoncd/pipeline/pkg/remoteresolution/resolver/hub"
	hubresolution "github.com/tektoncd/pipeline/pkg/resolution/resolver/hub"
	"k8s.io/client-go/rest"
	filteredinformerfactory "knative.dev/pkg/client/injection/kube/informers/factory/filtered"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/injection/sharedmain"
	"knative.dev/pkg/signals"
)

// resolverCount multiplies the client's limits, as upstream does for the resolvers that share it.
const resolverCount = 5

func main() {
	port, err := strconv.Atoi(os.Getenv("PROBES_PORT"))
	if err != nil {
		log.Fatal(fmt.Errorf("PROBES_PORT: %w", err))
	}
	ctx := filteredinformerfactory.WithSelectors(signals.NewContext(), v1alpha1.ManagedByLabelKey)
	ctx = sharedmain.WithHealthProbesDisabled(ctx)
	go func() {
		if err := injection.ServeHealthProbes(ctx, port); err != nil {
			log.Fatal(err)
		}
	}()

	config := injection.ParseAndGetRESTConfigOrDie()
	config.QPS = resolverCount * 2 * rest.DefaultQPS
	config.Burst = resolverCount * rest.DefaultBurst

	sharedmain.MainWithConfig(ctx, "controller", config,
		framework.NewController(ctx, &git.Resolver{}),
		framework.NewController(ctx, &hub.Resolver{ArtifactHubURL: hubresolution.DefaultArtifactHubURL}),
		framework.NewController(ctx, &bundle.Resolver{}),
		framework.NewController(ctx, &cluster.Resolver{}),
		framework.NewController(ctx, &http.Resolver{}))
}
