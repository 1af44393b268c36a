package cloudsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Policy is what an identity may do: the union of its allowing statements, less its denying ones. An empty Policy
// allows nothing.
type Policy []Statement

// Statement is one statement of an IAM policy.
type Statement struct {
	// Deny turns the statement from an allowing into a denying one, which wins over any other.
	Deny bool
	// Actions such as "logs:PutLogEvents", without regard to case; * and ? are wildcards.
	Actions []string
	// Resources are ARNs; * and ? are wildcards. Empty means every resource.
	//
	// CloudWatch Logs evaluates an action on a group as arn:...:log-group:NAME:log-stream: and one on a stream with
	// the stream's name added, so an ARN that ends in the group's name without ":*" matches neither; that form is for
	// tagging alone.
	Resources []string
}

// Allow returns a policy that allows the actions on every resource.
func Allow(actions ...string) Policy { return Policy{{Actions: actions}} }

// ParsePolicy reads an IAM policy document. Conditions, NotAction and NotResource are refused with an error, since
// ignoring them would allow too much or too little.
func ParsePolicy(document string) (Policy, error) {
	var parsed struct {
		Version   string
		ID        string `json:"Id"`
		Statement oneOrMore[struct {
			Sid, Effect      string
			Action, Resource oneOrMore[string]
		}]
	}
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&parsed); err != nil {
		return nil, fmt.Errorf("reading the policy document: %w", err)
	}
	if len(parsed.Statement) == 0 {
		return nil, errors.New("the policy document has no Statement")
	}
	policy := make(Policy, 0, len(parsed.Statement))
	for i, statement := range parsed.Statement {
		if statement.Effect != "Allow" && statement.Effect != "Deny" {
			return nil, fmt.Errorf("statement %d has the Effect %q: use Allow or Deny", i, statement.Effect)
		}
		if len(statement.Action) == 0 || len(statement.Resource) == 0 {
			return nil, fmt.Errorf("statement %d lacks an Action or a Resource", i)
		}
		policy = append(policy, Statement{
			Deny: statement.Effect == "Deny", Actions: statement.Action, Resources: statement.Resource,
		})
	}
	return policy, nil
}

// oneOrMore is a list that a policy document may write as a single value.
type oneOrMore[T any] []T

// UnmarshalJSON takes a list or a single value.
func (l *oneOrMore[T]) UnmarshalJSON(data []byte) error {
	target, single := any((*[]T)(l)), new(T)
	if data[0] != '[' {
		target = single
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields() // The outer decoder's setting does not reach into UnmarshalJSON.
	if err := decoder.Decode(target); err != nil {
		return err
	}
	if target == any(single) {
		*l = oneOrMore[T]{*single}
	}
	return nil
}

// verdict is what a policy says of one action on one resource.
type verdict int

const (
	implicitlyDenied verdict = iota
	allowed
	explicitlyDenied
)

// decide applies IAM's rule: an explicit deny wins, then an allow, else it is denied.
func (p Policy) decide(action, resource string) verdict {
	result := implicitlyDenied
	for _, statement := range p {
		if !statement.matches(action, resource) {
			continue
		}
		if statement.Deny {
			return explicitlyDenied
		}
		result = allowed
	}
	return result
}

func (s Statement) matches(action, resource string) bool {
	lower := strings.ToLower(action)
	for _, pattern := range s.Actions {
		if glob(strings.ToLower(pattern), lower) {
			return len(s.Resources) == 0 || matchesAny(s.Resources, resource)
		}
	}
	return false
}

func matchesAny(patterns []string, text string) bool {
	for _, pattern := range patterns {
		if glob(pattern, text) {
			return true
		}
	}
	return false
}

// glob reports whether text matches pattern, where * stands for any run of bytes and ? for one. It goes back to the
// last * only, so its time is bounded by the product of the lengths.
func glob(pattern, text string) bool {
	p, t, star, resume := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			resume++
			p, t = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
