package cloudsim

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const webIdentityAction = "AssumeRoleWithWebIdentity"

// stsOperations are the actions of STS.
var stsOperations map[string]operation

func init() { // The handlers reach the table through call.operation, which an initializer may not.
	stsOperations = map[string]operation{
		"AssumeRole":        (*Simulator).assumeRole,
		webIdentityAction:   (*Simulator).assumeRoleWithWebIdentity,
		"GetCallerIdentity": (*Simulator).getCallerIdentity,
	}
}

// Bounds of a session (STS API reference, AssumeRole).
const (
	minSession     = 15 * time.Minute
	maxSession     = 12 * time.Hour
	maxChained     = time.Hour
	defaultSession = time.Hour
	maxInline      = 2048 // characters of an inline session policy
	maxExternalID  = 1224
)

var (
	sessionNames = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalIDs  = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
)

type getCallerIdentityResult struct {
	XMLName              xml.Name `xml:"GetCallerIdentityResult"`
	Arn, UserId, Account string   //nolint:staticcheck // As STS spells them.
}

func (s *Simulator) getCallerIdentity(c *call) (any, error) {
	return getCallerIdentityResult{
		Arn: c.from.arn(partitionOf(c.region)), UserId: c.from.userID, Account: c.from.account,
	}, nil
}

type credentials struct {
	AccessKeyId, SecretAccessKey, SessionToken, Expiration string //nolint:staticcheck // As STS spells them.
}

type assumedRoleUser struct {
	AssumedRoleId, Arn string //nolint:staticcheck // As STS spells them.
}

type assumeRoleResult struct {
	XMLName                                         xml.Name
	Credentials                                     credentials
	AssumedRoleUser                                 assumedRoleUser
	SubjectFromWebIdentityToken, Audience, Provider string `xml:",omitempty"`
}

func (s *Simulator) assumeRole(c *call) (any, error) {
	arn, externalID := c.form.Get("RoleArn"), c.form.Get("ExternalId")
	if c.form.Has("ExternalId") && (!externalIDs.MatchString(externalID) || len(externalID) > maxExternalID) {
		return nil, stsConstraint(externalID, "externalId", `satisfy regular expression pattern: [\w+=,.@:\/-]* and have length 2 to 1224`)
	}
	key, role, exists := s.identities.role(arn)
	partition := partitionOf(c.region)
	if !exists || key.arn(partition) != arn || !role.trusts(c.from, key, partition) || role.Trust.ExternalID != "" && role.Trust.ExternalID != externalID {
		return nil, errAccessDenied(serviceSTS, "User: "+c.from.arn(partition)+" is not authorized to perform: sts:AssumeRole on resource: "+arn)
	}
	longest := maxSession
	if c.from.role != "" {
		longest = maxChained
	}
	return s.issue(c, key, role, longest)
}

// trusts evaluates a role's trust policy, and the caller's own policy where IAM does: a caller who is named in the
// trust policy of a role of the own account needs nothing else.
func (r *Role) trusts(from *principal, key roleKey, partition string) bool {
	name := from.arn(partition)
	if from.role != "" {
		name = roleKey{from.account, from.role}.arn(partition)
	}
	own := from.policy.decide("sts:AssumeRole", key.arn(partition))
	if from.inline != nil && own == allowed {
		own = from.inline.decide("sts:AssumeRole", key.arn(partition))
	}
	switch {
	case own == explicitlyDenied:
		return false
	case slices.Contains(r.Trust.Principals, name) && from.account == key.account:
		return true
	}
	account := fmt.Sprintf("arn:%s:iam::%s:root", partition, from.account)
	return own == allowed && (slices.Contains(r.Trust.Principals, name) || slices.Contains(r.Trust.Principals, account))
}

func (s *Simulator) assumeRoleWithWebIdentity(c *call) (any, error) {
	token, err := parseWebIdentity(c.form.Get("WebIdentityToken"))
	if err != nil {
		return nil, err
	}
	if expires := time.Unix(token.Expires, 0); !c.now.Before(expires) {
		return nil, badRequest("ExpiredTokenException", "Token expired: current date/time %d must be before the expiration date/time %d",
			c.now.Unix(), token.Expires)
	}
	key, role, exists := s.identities.role(c.form.Get("RoleArn"))
	if !exists || !matchesAny(role.Trust.Subjects, token.Subject) {
		return nil, errAccessDenied(serviceSTS, "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	if !slices.Contains(token.Audience, role.Trust.Audience) {
		return nil, badRequest("InvalidIdentityToken", "Incorrect token audience")
	}
	result, err := s.issue(c, key, role, maxSession)
	if err != nil {
		return nil, err
	}
	result.SubjectFromWebIdentityToken, result.Audience, result.Provider = token.Subject, role.Trust.Audience, token.Issuer
	return result, nil
}

// issue checks what is asked of a session, and makes it.
func (s *Simulator) issue(c *call, key roleKey, role Role, longest time.Duration) (*assumeRoleResult, error) {
	name := c.form.Get("RoleSessionName")
	if !sessionNames.MatchString(name) {
		return nil, stsConstraint(name, "roleSessionName", `satisfy regular expression pattern: [\w+=,.@-]* and have length 2 to 64`)
	}
	lifetime, err := sessionLifetime(c.form.Get("DurationSeconds"), role.MaxSession, longest)
	if err != nil {
		return nil, err
	}
	inline, err := sessionPolicy(c.form.Get("Policy"))
	if err != nil {
		return nil, err
	}
	issued := s.identities.newSession(key, name, inline, c.now, lifetime)
	partition := strings.Split(c.form.Get("RoleArn"), ":")[1] // Who is not signed has no region to tell it by.
	arn := fmt.Sprintf("arn:%s:sts::%s:%s", partition, key.account, issued.path())
	return &assumeRoleResult{
		XMLName: xml.Name{Local: c.action + "Result"},
		Credentials: credentials{
			AccessKeyId: issued.accessKeyID, SecretAccessKey: issued.secret, SessionToken: issued.token,
			Expiration: issued.expires.UTC().Format(time.RFC3339),
		},
		AssumedRoleUser: assumedRoleUser{AssumedRoleId: issued.userID(), Arn: arn},
	}, nil
}

// sessionLifetime checks DurationSeconds; longest is an hour for a role that assumes a role.
func sessionLifetime(text string, maxOfRole, longest time.Duration) (time.Duration, error) {
	if text == "" {
		return defaultSession, nil
	}
	seconds, err := strconv.Atoi(text)
	lifetime := time.Duration(seconds) * time.Second
	switch {
	case err != nil || lifetime > maxSession:
		return 0, stsConstraint(text, "durationSeconds", "have value less than or equal to 43200")
	case lifetime < minSession:
		return 0, stsConstraint(text, "durationSeconds", "have value greater than or equal to 900")
	case lifetime > longest:
		return 0, badRequest("ValidationError",
			"The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	case lifetime > maxOfRole:
		return 0, badRequest("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return lifetime, nil
}

// sessionPolicy reads an inline session policy; nil when there is none.
func sessionPolicy(document string) (Policy, error) {
	if document == "" {
		return nil, nil
	}
	if len(document) > maxInline {
		return nil, stsConstraint("...", "policy", "have length less than or equal to 2048")
	}
	policy, err := ParsePolicy(document)
	if err != nil {
		return nil, &apiError{status: http.StatusBadRequest, code: "MalformedPolicyDocument", message: err.Error()}
	}
	return policy, nil
}

func stsConstraint(value, field, constraint string) *apiError {
	return badRequest("ValidationError", "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must %s",
		value, field, constraint)
}
