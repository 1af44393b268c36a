package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// sample is an image of this test's own program, which knows the modules that it was built from.
func sample(t *testing.T) source {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return source{
		name: "example.org/trailkeeper:1", revision: "0123abc", created: time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC),
		binaries: []binary{{"amd64", self}, {"arm64", self}},
	}
}

func write(t *testing.T, s source) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if _, err := s.write(folder); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	first, second := write(t, sample(t)), write(t, sample(t))
	for _, file := range []string{tarName, sbomName, digestName} {
		if !bytes.Equal(read(t, first, file), read(t, second, file)) {
			t.Errorf("%s differs", file)
		}
	}
	other := sample(t)
	other.revision = "4567def"
	if bytes.Equal(read(t, first, digestName), read(t, write(t, other), digestName)) {
		t.Error("another revision has the same digest")
	}
}

func TestWhatIsInTheImage(t *testing.T) {
	index, err := sample(t).index()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, descriptor := range manifest.Manifests {
		platforms = append(platforms, descriptor.Platform.String())
		image, err := index.Image(descriptor.Digest)
		if err != nil {
			t.Fatal(err)
		}
		checkConfiguration(t, image, descriptor.Platform.Architecture)
		checkFiles(t, image)
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !reflect.DeepEqual(platforms, want) {
		t.Errorf("the image is for %v, want %v", platforms, want)
	}
}

func checkConfiguration(t *testing.T, image v1.Image, architecture string) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.Architecture != architecture || config.OS != "linux" {
		t.Errorf("user %q, platform %s/%s", config.Config.User, config.OS, config.Architecture)
	}
	if !reflect.DeepEqual(config.Config.Entrypoint, []string{"/manager"}) || len(config.Config.Env) > 0 {
		t.Errorf("entrypoint %v, environment %v", config.Config.Entrypoint, config.Config.Env)
	}
}

func checkFiles(t *testing.T, image v1.Image) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	reader := tar.NewReader(content)
	modes := map[string]int64{}
	for {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[header.Name] = header.Mode
		if header.Name == certificates {
			checkAuthorities(t, reader)
		}
	}
	want := map[string]int64{"etc/": 0o755, "etc/ssl/": 0o755, "etc/ssl/certs/": 0o755, certificates: 0o444, "manager": 0o555}
	if !reflect.DeepEqual(modes, want) {
		t.Errorf("the image holds %v, want %v", modes, want)
	}
}

// checkAuthorities looks for the authorities of AWS among them.
func checkAuthorities(t *testing.T, reader io.Reader) {
	t.Helper()
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names[certificate.Subject.CommonName] = true
	}
	for _, want := range []string{"Amazon Root CA 1", "Amazon Root CA 2", "Amazon Root CA 3", "Amazon Root CA 4"} {
		if !names[want] {
			t.Errorf("%s is missing among %d authorities", want, len(names))
		}
	}
}

func TestTheBillNamesEveryModule(t *testing.T) {
	var bill document
	if err := json.Unmarshal(read(t, write(t, sample(t)), sbomName), &bill); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, part := range bill.Packages {
		versions[part.Name] = part.Version
		if want := "pkg:golang/" + part.Name + "@" + part.Version; part.References[0].Locator != want {
			t.Errorf("%s is referred to by %s", want, part.References[0].Locator)
		}
	}
	if versions["github.com/trailkeeper/trailkeeper/hack/image"] != "0123abc" {
		t.Errorf("the program itself is missing: %v", versions)
	}
	for _, name := range []string{"stdlib", "github.com/google/go-containerregistry", rootsModule} {
		if versions[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if len(bill.Relationships) != len(bill.Packages) {
		t.Errorf("%d relationships for %d packages", len(bill.Relationships), len(bill.Packages))
	}
}

func TestPushedIsWhatWasBuilt(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	folder := write(t, sample(t))
	target := strings.TrimPrefix(server.URL, "http://") + "/trailkeeper:1"
	var said bytes.Buffer
	if err := run(t.Context(), []string{"push", "-tar", filepath.Join(folder, tarName), target}, &said); err != nil {
		t.Fatal(err)
	}
	reference, err := name.ParseReference(target)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Index(reference)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := pulled.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if built := strings.TrimSpace(string(read(t, folder, digestName))); built != digest.String() || !strings.Contains(said.String(), built) {
		t.Errorf("built %s, pulled %s, said %s", built, digest, said.String())
	}
}

func TestWrongArguments(t *testing.T) {
	for _, arguments := range [][]string{
		nil, {"pull"}, {"build"}, {"build", "-created", "yesterday"}, {"push"}, {"push", "-tar", "nowhere.tar", "example.org/x:1"},
		{"build", "-created", "2026-11-28T03:00:00Z", "-out", "x", "-name", "a:1", "-revision", "r", "manager"},
	} {
		if err := run(t.Context(), arguments, io.Discard); err == nil {
			t.Errorf("%v is accepted", arguments)
		}
	}
}

func read(t *testing.T, folder, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
