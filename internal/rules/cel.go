package rules

import (
	"slices"
	"strconv"
	"strings"
)

// A small algebra of CEL expressions as text. Constants are folded, so that what is true or false whatever the request
// can be seen by comparing with celTrue and celFalse.

func and(operands ...string) string {
	return join(" && ", celTrue, celFalse, operands)
}

func or(operands ...string) string {
	return join(" || ", celFalse, celTrue, operands)
}

// join leaves out neutral operands, and is decided by one absorbing operand.
func join(operator, neutral, absorbing string, operands []string) string {
	kept := make([]string, 0, len(operands))
	for _, operand := range operands {
		switch operand {
		case absorbing:
			return absorbing
		case neutral:
		default:
			kept = append(kept, operand)
		}
	}
	switch len(kept) {
	case 0:
		return neutral
	case 1:
		return kept[0]
	default:
		return "(" + strings.Join(kept, operator) + ")"
	}
}

func not(operand string) string {
	switch operand {
	case celTrue:
		return celFalse
	case celFalse:
		return celTrue
	default:
		return "!(" + operand + ")"
	}
}

// in compares with a list of values; nothing is in an empty list.
func in(subject string, values []string) string {
	switch len(values) {
	case 0:
		return celFalse
	case 1:
		return subject + " == " + quote(values[0])
	default:
		quoted := make([]string, len(values))
		for i, value := range values {
			quoted[i] = quote(value)
		}
		slices.Sort(quoted)
		return subject + " in [" + strings.Join(slices.Compact(quoted), ", ") + "]"
	}
}

func startsWith(subject, prefix string) string {
	if prefix == "" {
		return celTrue
	}
	return subject + ".startsWith(" + quote(prefix) + ")"
}

// quote is a CEL string literal. Go's ASCII quoting uses a subset of CEL's escapes, so no value can end the literal.
// https://github.com/google/cel-spec/blob/master/doc/langdef.md#string-and-bytes-values
func quote(value string) string {
	return strconv.QuoteToASCII(value)
}
