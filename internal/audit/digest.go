package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"sync"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/utils/ptr"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// digestBytes is how much of a digest is kept: enough that no two values of a cluster collide by chance.
const digestBytes = 16

// Digester makes keyed digests, which show that two values are equal without telling the value to somebody who can
// guess it but has not the key.
type Digester struct {
	pool *sync.Pool
}

// digesting is what one digest needs.
type digesting struct {
	// mac has taken in the key already, which is half of the work for a short value.
	mac     hash.Hash
	encoded []byte
}

// maxKept is the largest memory in bytes that is kept for the next value.
const maxKept = 64 << 10

// NewDigester returns a Digester with the key that all replicas of a cluster share.
func NewDigester(key []byte) Digester {
	return Digester{pool: &sync.Pool{New: func() any { return &digesting{mac: hmac.New(sha256.New, key)} }}}
}

// Digest is the HMAC-SHA256 of the value's JSON, with the keys of objects sorted, in hexadecimal and cut to 128 bits.
func (d Digester) Digest(value any) string { return d.digest(value, false) }

func (d Digester) digest(value any, lean bool) string {
	digesting, _ := d.pool.Get().(*digesting)
	defer d.pool.Put(digesting)
	digesting.encoded = appendValue(digesting.encoded[:0], value, lean)
	digesting.mac.Reset()
	digesting.mac.Write(digesting.encoded)
	if cap(digesting.encoded) > maxKept {
		digesting.encoded = nil
	}
	var sum [sha256.Size]byte
	return hex.EncodeToString(digesting.mac.Sum(sum[:0])[:digestBytes])
}

// ID names the change: the same for each trail's copy, and for repeated calls of the API server for one change.
func (c *Change) ID() string { return c.id }

// Deletion names who deletes which object, and how; empty when the request does not.
func (c *Change) Deletion() string {
	if c.request.Operation != admissionv1.Delete || c.resource.UID == "" {
		return ""
	}
	grace := strconv.FormatInt(ptr.Deref(c.info.GracePeriodSeconds, -1), 10)
	return strings.Join([]string{c.resource.UID, string(c.info.PropagationPolicy), grace, c.actor.Username}, "/")
}

// EndsDeletion says that the request is for the second half of a pod's deletion without grace: the API server marks the
// pod first, and validates again before it removes it. No other kind is deleted gracefully; a deletion of what is being
// deleted already then asks for something else.
func (c *Change) EndsDeletion() bool {
	return c.request.Operation == admissionv1.Delete && c.resource.Resource == "pods" && c.resource.Group == "" &&
		c.alreadyDeleting && !inGrace(c.before)
}

// identify names the change: the same for each trail's copy, and for repeated calls of the API server for one change.
func (c *Change) identify() string {
	content := c.after
	if content == nil {
		content = c.before
	}
	if c.resource.UID == "" || c.request.Operation == admissionv1.Create && c.resource.Subresource != "" && c.evicted == nil {
		// A connection, an eviction or a token is no object: asking for the same again is not asking once. The API
		// server does not validate these twice, and repeats a call under the same uid.
		return c.digester.Digest([]any{string(c.request.UID), content})
	}
	named := []any{
		c.resource.UID, c.resource.Group, c.resource.Resource, c.resource.Namespace, c.resource.Name,
		string(c.action), c.resource.Subresource, c.actor.Username, c.resource.ResourceVersion, content,
	}
	if c.action == v1alpha1.ActionDelete {
		// Who asks for the same object's deletion in another way does not ask for the same.
		named = append(named, string(c.info.PropagationPolicy), ptr.Deref(c.info.GracePeriodSeconds, -1))
	}
	return c.digester.Digest(named)
}
