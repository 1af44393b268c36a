package rules

import (
	"slices"
	"strings"
)

// patterns are names that match exactly, or by their beginning when they end in *. No patterns match everything.
type patterns struct {
	exact, prefixes []string
}

func compilePatterns(list []string) patterns {
	var p patterns
	for _, name := range list {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			p.prefixes = append(p.prefixes, prefix)
		} else {
			p.exact = append(p.exact, name)
		}
	}
	slices.Sort(p.exact)
	slices.Sort(p.prefixes)
	return p
}

// absent reports whether there is nothing to match.
func (p *patterns) absent() bool {
	return len(p.exact) == 0 && len(p.prefixes) == 0
}

// certain reports whether every name matches.
func (p *patterns) certain() bool {
	return p.absent() || slices.Contains(p.prefixes, "")
}

// match reports whether the name is one of the patterns.
func (p *patterns) match(name string) bool {
	if slices.Contains(p.exact, name) {
		return true
	}
	for _, prefix := range p.prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// matchAny reports whether one of the names is one of the patterns.
func (p *patterns) matchAny(names []string) bool {
	return slices.ContainsFunc(names, p.match)
}

// kinds are names of kinds in lower case. None match everything.
type kinds []string

func compileKinds(list []string) kinds {
	var compiled kinds
	for _, kind := range list {
		compiled = append(compiled, lowerASCII(kind))
	}
	slices.Sort(compiled)
	return compiled
}

func (k kinds) match(kind string) bool {
	return len(k) == 0 || slices.ContainsFunc(k, func(wanted string) bool { return equalLower(wanted, kind) })
}

// lowerASCII leaves all but A to Z as they are, as CEL's lowerAscii does.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

// equalLower reports whether lower is lowerASCII(s), without allocating.
func equalLower(lower, s string) bool {
	if len(lower) != len(s) {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		if lower[i] != b {
			return false
		}
	}
	return true
}

// resource is one documented form of a resource: a group or *, a plural name or *, and a subresource: none, a name, or
// * for every one.
type resource struct {
	group, name, sub string
}

func (r *resource) match(group, name, sub string) bool {
	if r.group != "*" && r.group != group {
		return false
	}
	if r.name != "*" && r.name != name {
		return false
	}
	switch r.sub {
	case "*":
		return sub != "" || r.name == "*" // */* are all resources too, deployments/* are subresources only
	default:
		return r.sub == sub
	}
}
