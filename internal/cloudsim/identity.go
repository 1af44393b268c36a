package cloudsim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// User is an IAM user with one access key.
type User struct {
	// AccountID of the user. Default Options.AccountID.
	AccountID string
	// Name of the user.
	Name string
	// AccessKeyID and SecretAccessKey are the user's only key.
	AccessKeyID, SecretAccessKey string
	// Policy is what the user may do.
	Policy Policy
}

// Role is an IAM role.
type Role struct {
	// AccountID of the role. Default Options.AccountID.
	AccountID string
	// Name of the role, with its path if it has one: "audit" or "team/audit".
	Name string
	// Trust says who may assume the role.
	Trust Trust
	// Policy is what sessions of the role may do.
	Policy Policy
	// MaxSession is the longest session that may be asked for. Default an hour.
	MaxSession time.Duration
}

// Trust is a role's trust policy.
type Trust struct {
	// Principals may call AssumeRole: ARNs of users or roles, or of an account (arn:aws:iam::ACCOUNT:root). A caller
	// that is trusted by its account alone, or is of another account, also needs sts:AssumeRole in its own policy.
	Principals []string
	// ExternalID that AssumeRole must give; empty asks for none.
	ExternalID string
	// Subjects may call AssumeRoleWithWebIdentity: system:serviceaccount:NAMESPACE:NAME, with wildcards.
	Subjects []string
	// Audience that the web identity token must have. Default sts.amazonaws.com.
	Audience string
}

// session is one set of temporary keys.
type session struct {
	name, accessKeyID, secret, token string
	role                             roleKey
	inline                           Policy // nil when the session was made without a session policy
	expires                          time.Time
}

// principal is who signed a request.
type principal struct {
	account, userID string
	path            string // "user/alice" or "assumed-role/audit/session"
	role            string // the role's name, for a session
	secret, token   string
	expires         time.Time // zero for a user's own key
	policy          Policy
	inline          Policy
}

// arn is the principal's ARN in a partition.
func (p *principal) arn(partition string) string {
	service := "iam"
	if p.role != "" {
		service = "sts"
	}
	return fmt.Sprintf("arn:%s:%s::%s:%s", partition, service, p.account, p.path)
}

type roleKey struct{ account, name string }

func (k roleKey) arn(partition string) string {
	return fmt.Sprintf("arn:%s:iam::%s:role/%s", partition, k.account, k.name)
}

// identities holds who exists.
type identities struct {
	defaultAccount string

	mu       sync.RWMutex
	users    []User
	roles    map[roleKey]Role
	sessions map[string]*session
}

func newIdentities(defaultAccount string) *identities {
	return &identities{defaultAccount: defaultAccount, roles: map[roleKey]Role{}, sessions: map[string]*session{}}
}

func (i *identities) putUser(user User) {
	if user.AccountID == "" {
		user.AccountID = i.defaultAccount
	}
	i.removeUser(user.AccountID, user.Name)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.users = append(i.users, user)
}

func (i *identities) removeUser(account, name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.users = slices.DeleteFunc(i.users, func(u User) bool { return u.AccountID == account && u.Name == name })
}

func (i *identities) putRole(role Role) {
	if role.AccountID == "" {
		role.AccountID = i.defaultAccount
	}
	if role.MaxSession == 0 {
		role.MaxSession = time.Hour
	}
	if role.Trust.Audience == "" {
		role.Trust.Audience = "sts.amazonaws.com"
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.roles[roleKey{role.AccountID, role.Name}] = role
}

// role finds a role by its ARN.
func (i *identities) role(arn string) (roleKey, Role, bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" {
		return roleKey{}, Role{}, false
	}
	name, ok := strings.CutPrefix(parts[5], "role/")
	if !ok {
		return roleKey{}, Role{}, false
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	key := roleKey{parts[4], name}
	role, ok := i.roles[key]
	return key, role, ok
}

// byAccessKey finds who an access key belongs to; nil if to nobody.
func (i *identities) byAccessKey(id string) *principal {
	i.mu.RLock()
	defer i.mu.RUnlock()
	for _, user := range i.users {
		if user.AccessKeyID == id {
			return &principal{
				account: user.AccountID, path: "user/" + user.Name, userID: uniqueID("AIDA", user.AccountID+user.Name),
				secret: user.SecretAccessKey, policy: user.Policy,
			}
		}
	}
	session, ok := i.sessions[id]
	if !ok {
		return nil
	}
	return &principal{
		account: session.role.account, path: session.path(), userID: session.userID(), role: session.role.name,
		secret: session.secret, token: session.token, expires: session.expires,
		policy: i.roles[session.role].Policy, inline: session.inline,
	}
}

// newSession issues temporary keys.
func (i *identities) newSession(role roleKey, name string, inline Policy, now time.Time, lifetime time.Duration) *session {
	issued := &session{
		name: name, role: role, inline: inline, expires: now.Add(lifetime),
		accessKeyID: "ASIA" + rand.Text()[:16], secret: (rand.Text() + rand.Text())[:40], token: "IQoJ" + rand.Text() + rand.Text(),
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, old := range i.sessions {
		if now.Sub(old.expires) > 24*time.Hour { // Until then an expired key is known, and so answered as expired.
			delete(i.sessions, id)
		}
	}
	i.sessions[issued.accessKeyID] = issued
	return issued
}

func (i *identities) expireSessions(now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, session := range i.sessions {
		session.expires = now
	}
}

func (s *session) path() string { return "assumed-role/" + path.Base(s.role.name) + "/" + s.name }

func (s *session) userID() string { return uniqueID("AROA", s.role.account+s.role.name) + ":" + s.name }

// uniqueID is a stable id in the form of IAM's.
func uniqueID(prefix, of string) string {
	sum := sha256.Sum256([]byte(of))
	return prefix + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
