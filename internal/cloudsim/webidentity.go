package cloudsim

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// webIdentity is what the simulator reads in a web identity token (RFC 7519). Nobody's signature is checked, since
// there is no issuer to ask.
type webIdentity struct {
	Issuer   string            `json:"iss"`
	Subject  string            `json:"sub"`
	Audience oneOrMore[string] `json:"aud"`
	Expires  int64             `json:"exp"`
}

func parseWebIdentity(token string) (*webIdentity, error) {
	invalid := badRequest("InvalidIdentityToken", "The ID Token provided is not a valid JWT. (You may see this error if "+
		"you sent an Access Token)")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, invalid
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, invalid
	}
	var identity webIdentity
	if err := json.Unmarshal(claims, &identity); err != nil || identity.Subject == "" || identity.Expires == 0 {
		return nil, invalid
	}
	return &identity, nil
}
