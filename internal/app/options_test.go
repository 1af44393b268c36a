package app

import (
	"flag"
	"io"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// parse reads flags as the operator does.
func parse(t *testing.T, args ...string) *Options {
	t.Helper()
	t.Setenv("POD_NAMESPACE", "")
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	options := &Options{}
	options.BindFlags(flags)
	NewWithT(t).Expect(flags.Parse(args)).To(Succeed())
	return options
}

func TestDefaultsAreValid(t *testing.T) {
	g := NewWithT(t)
	options := parse(t)
	g.Expect(options.Validate()).To(Succeed())
	g.Expect(options.Namespace).To(Equal("trailkeeper-system"))
	g.Expect(options.LeaderElect).To(BeTrue())
	g.Expect(options.CompressDeliveries).To(BeTrue())
	g.Expect(options.LeaseDuration).To(Equal(15 * time.Second))
	g.Expect(options.bindAddress()).To(Equal(":9443"))
}

func TestNamespaceComesFromThePod(t *testing.T) {
	g := NewWithT(t)
	t.Setenv("POD_NAMESPACE", "audit")
	options := &Options{}
	options.BindFlags(flag.NewFlagSet("manager", flag.ContinueOnError))
	g.Expect(options.Namespace).To(Equal("audit"))
}

func TestGoodOptions(t *testing.T) {
	tests := map[string]struct {
		args []string
		bind string
	}{
		"listens at the URL's own address": {[]string{"--webhook-url=https://127.0.0.1:8443"}, "127.0.0.1:8443"},
		"of IPv6":                          {[]string{"--webhook-url=https://[::1]:8443"}, "[::1]:8443"},
		"or elsewhere":                     {[]string{"--webhook-url=https://gate.example.com:443", "--webhook-bind-address=0.0.0.0:9443"}, "0.0.0.0:9443"},
		"the Service's target":             {[]string{"--webhook-bind-address=:10443"}, ":10443"},
		"a Lease for each shard":           {[]string{"--delivery-shards=16"}, ":9443"},
		"the least lease":                  {[]string{"--leader-elect-lease-duration=3s"}, ":9443"},
		"the least backlog":                {[]string{"--backlog-soft-limit=100", "--backlog-hard-limit=100", "--backlog-max-bytes=1048576"}, ":9443"},
		"the least file":                   {[]string{"--spill-max-bytes=1048576"}, ":9443"},
		"the shortest certificates":        {[]string{"--webhook-certificate-lifetime=10s", "--webhook-authority-lifetime=40s"}, ":9443"},
		"no probes and metrics":            {[]string{"--metrics-bind-address=0", "--health-probe-bind-address=0"}, ":9443"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			options := parse(t, test.args...)
			g.Expect(options.Validate()).To(Succeed())
			g.Expect(options.bindAddress()).To(Equal(test.bind))
		})
	}
}

// Each message names the flag and says what to write.
func TestBadOptions(t *testing.T) {
	tests := map[string]struct {
		args []string
		want []string
	}{
		"no namespace":            {[]string{"--namespace="}, []string{"--namespace", "name of"}},
		"not a namespace":         {[]string{"--namespace=Trail_Keeper"}, []string{"--namespace", `"Trail_Keeper"`, "lower case"}},
		"a certificate of no use": {[]string{"--webhook-certificate-lifetime=9s"}, []string{"--webhook-certificate-lifetime is 9s", "10s to 2160h"}},
		"an authority too short":  {[]string{"--webhook-authority-lifetime=600h"}, []string{"--webhook-authority-lifetime is 600h", "4 times --webhook-certificate-lifetime"}},
		"a name of no authority":  {[]string{"--webhook-client-name=x"}, []string{"--webhook-client-name needs --webhook-client-ca-file"}},
		"no folder":               {[]string{"--spill-dir="}, []string{"--spill-dir", "folder"}},
		"a tiny file":             {[]string{"--spill-max-bytes=1000"}, []string{"--spill-max-bytes is 1000", "at least 1048576"}},
		"a negative file":         {[]string{"--spill-max-bytes=-1"}, []string{"--spill-max-bytes is -1", "at least 1048576"}},
		"few single events":       {[]string{"--backlog-soft-limit=99"}, []string{"--backlog-soft-limit is 99", "100 to 100000"}},
		"many single events":      {[]string{"--backlog-soft-limit=100001"}, []string{"--backlog-soft-limit is 100001", "100 to 100000"}},
		"fewer than single":       {[]string{"--backlog-hard-limit=9999"}, []string{"--backlog-hard-limit is 9999", "at least --backlog-soft-limit, which is 10000"}},
		"a huge backlog":          {[]string{"--backlog-hard-limit=20000001"}, []string{"--backlog-hard-limit", "at most 20000000"}},
		"a tiny backlog":          {[]string{"--backlog-max-bytes=1000"}, []string{"--backlog-max-bytes is 1000", "1048576 to 4294967296"}},
		"a large backlog":         {[]string{"--backlog-max-bytes=4294967297"}, []string{"--backlog-max-bytes", "1048576 to 4294967296"}},
		"a short lease":           {[]string{"--leader-elect-lease-duration=1s"}, []string{"--leader-elect-lease-duration is 1s", "at least 3s"}},
		"no shards":               {[]string{"--delivery-shards=0"}, []string{"--delivery-shards is 0", "1 to 16"}},
		"too many shards":         {[]string{"--delivery-shards=17"}, []string{"--delivery-shards is 17", "1 to 16"}},
		"a long drain":            {[]string{"--drain-delay=1h"}, []string{"--drain-delay is 1h", "0s to 30s"}},
		"no TLS":                  {[]string{"--webhook-url=http://127.0.0.1:9443"}, []string{"--webhook-url", "https://HOST:PORT"}},
		"no port":                 {[]string{"--webhook-url=https://127.0.0.1"}, []string{"--webhook-url", "https://HOST:PORT"}},
		"no host":                 {[]string{"--webhook-url=https://:9443"}, []string{"--webhook-url", "https://HOST:PORT"}},
		"no URL":                  {[]string{"--webhook-url=127.0.0.1:9443"}, []string{"--webhook-url", "https://HOST:PORT"}},
		"a path":                  {[]string{"--webhook-url=https://127.0.0.1:9443/record"}, []string{"--webhook-url", "https://HOST:PORT"}},
		"a query":                 {[]string{"--webhook-url=https://127.0.0.1:9443?a=b"}, []string{"--webhook-url", "https://HOST:PORT"}},
		"a user":                  {[]string{"--webhook-url=https://planted-hunter2@127.0.0.1:9443"}, []string{"--webhook-url", "https://HOST:PORT"}},
		"a bind without port":     {[]string{"--webhook-bind-address=127.0.0.1"}, []string{"--webhook-bind-address", "HOST:PORT"}},
		"a port that is a word":   {[]string{"--webhook-bind-address=:https"}, []string{"--webhook-bind-address", "HOST:PORT"}},
		"a port past the last":    {[]string{"--webhook-bind-address=:70000"}, []string{"--webhook-bind-address", "HOST:PORT"}},
		"a URL's port past it":    {[]string{"--webhook-url=https://127.0.0.1:70000"}, []string{"--webhook-url", "https://HOST:PORT"}},
		"metrics without port":    {[]string{"--metrics-bind-address=127.0.0.1"}, []string{"--metrics-bind-address", "HOST:PORT"}},
		"probes without port":     {[]string{"--health-probe-bind-address=127.0.0.1"}, []string{"--health-probe-bind-address", "HOST:PORT"}},
		"a bad cluster id":        {[]string{"--cluster-id=a:b"}, []string{"--cluster-id", `"a:b"`, "letters, digits"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := parse(t, test.args...).Validate()
			g.Expect(err).To(HaveOccurred())
			for _, part := range test.want {
				g.Expect(err.Error()).To(ContainSubstring(part))
			}
		})
	}
}
