package audit

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// redactedPrefix marks a value that was replaced; what follows is its keyed digest.
const redactedPrefix = "redacted:"

const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration"

// wildcard stands for every key of an object or every index of a list.
const wildcard = "*"

// lastApplied repeats the whole object, whatever else is redacted in it.
var lastApplied = []string{"metadata", "annotations", lastAppliedAnnotation}

// builtin are the paths that hold secrets, by group/Kind.
var builtin = map[string][][]string{
	"/Secret":                            {{"data", wildcard}, {"stringData", wildcard}},
	"authentication.k8s.io/TokenRequest": {{"spec"}, {"status"}},
	"certificates.k8s.io/CertificateSigningRequest": {{"spec", "request"}, {"status", "certificate"}},
	"/PodExecOptions":      {{"command"}},
	"/PodAttachOptions":    {{"command"}},
	"/PodProxyOptions":     {{"path"}},
	"/ServiceProxyOptions": {{"path"}},
	"/NodeProxyOptions":    {{"path"}},
}

// redactBuiltin replaces what no trail may see, in place.
func (c *Change) redactBuiltin() {
	paths := append([][]string{lastApplied}, builtin[c.request.Kind.Group+"/"+c.request.Kind.Kind]...)
	c.redacted = c.redact(paths, c.before, c.after)
}

// redact replaces the values at the paths, in place, and returns the pointers of those that it found, sorted.
func (c *Change) redact(paths [][]string, objects ...object) []string {
	found := map[string]bool{}
	for _, o := range objects {
		if o == nil {
			continue
		}
		for _, path := range paths {
			c.redactAt(o, path, "", found)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// redactAt replaces the value at path below container.
func (c *Change) redactAt(container any, path []string, pointer string, found map[string]bool) {
	eachChild(container, path[0], func(key string, value any) {
		at := pointer + "/" + escape(key)
		if len(path) > 1 {
			c.redactAt(value, path[1:], at, found)
			return
		}
		if value == nil {
			return
		}
		set(container, key, redactedPrefix+c.digester.Digest(value))
		found[at] = true
	})
}

// eachChild gives the members of an object or the elements of a list that one segment of a path selects. What it has given
// may be replaced.
func eachChild(container any, segment string, do func(key string, value any)) {
	switch typed := container.(type) {
	case object:
		if segment != wildcard {
			if value, ok := typed[segment]; ok {
				do(segment, value)
			}
			return
		}
		for key, value := range typed {
			do(key, value)
		}
	case []any:
		for index, value := range typed {
			if key := strconv.Itoa(index); segment == wildcard || segment == key {
				do(key, value)
			}
		}
	}
}

func set(container any, key string, value any) {
	switch typed := container.(type) {
	case object:
		typed[key] = value
	case []any:
		if index, err := strconv.Atoi(key); err == nil {
			typed[index] = value
		}
	}
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// escape writes a key as a segment of a JSON Pointer (RFC 6901, section 3).
func escape(key string) string {
	return pointerEscaper.Replace(key)
}

// clone copies what redact may write to.
func clone(value any) any {
	switch typed := value.(type) {
	case object:
		copied := make(object, len(typed))
		for key, inner := range typed {
			copied[key] = clone(inner)
		}
		return copied
	case []any:
		copied := make([]any, len(typed))
		for index, inner := range typed {
			copied[index] = clone(inner)
		}
		return copied
	default:
		return value
	}
}

func cloneObject(o object) object {
	copied, _ := clone(o).(object)
	return copied
}
