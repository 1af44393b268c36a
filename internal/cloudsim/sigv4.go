package cloudsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSkew is how far a request's time may be from the service's.
const maxSkew = 5 * time.Minute

const signatureMismatch = "The request signature we calculated does not match the signature you provided. Check your " +
	"AWS Secret Access Key and signing method. Consult the service documentation for details."

// authorization is a parsed Authorization header of SigV4 (IAM User Guide, "Create a signed AWS API request").
type authorization struct {
	accessKeyID, date, region, service string
	signedHeaders                      []string
	signature                          string
}

func (a *authorization) scope() string {
	return a.date + "/" + a.region + "/" + a.service + "/aws4_request"
}

// parseAuthorization reads the header and refuses what AWS calls an incomplete signature.
func parseAuthorization(at service, header string) (*authorization, error) {
	if header == "" {
		return nil, errNoSignature(at)
	}
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		return nil, errIncompleteSignature(at, "Authorization header requires the algorithm AWS4-HMAC-SHA256.")
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[name] == "" {
			return nil, errIncompleteSignature(at, fmt.Sprintf("Authorization header requires '%s' parameter.", name))
		}
	}
	credential := strings.Split(fields["Credential"], "/")
	if len(credential) != 5 || credential[4] != "aws4_request" {
		return nil, errIncompleteSignature(at, "Credential must have exactly 5 slash-delimited elements, "+
			"e.g. keyid/date/region/service/term")
	}
	return &authorization{
		accessKeyID: credential[0], date: credential[1], region: credential[2], service: credential[3],
		signedHeaders: strings.Split(fields["SignedHeaders"], ";"), signature: fields["Signature"],
	}, nil
}

// verify checks a request's time, scope and signature. It assumes that the access key is known.
func (a *authorization) verify(at service, r *http.Request, body []byte, secret string, now time.Time) error {
	stamp := r.Header.Get("X-Amz-Date")
	signed, err := time.Parse(basicTime, stamp)
	if err != nil {
		return errIncompleteSignature(at, "Authorization header requires existence of an 'X-Amz-Date' header in ISO 8601 basic format.")
	}
	if err := checkSkew(at, signed, now); err != nil {
		return err
	}
	if a.date != stamp[:8] {
		return errSignature(at, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '"+
			a.date+"' != '"+stamp[:8]+"'.")
	}
	if a.service != string(at) {
		return errSignature(at, "Credential should be scoped to correct service: '"+string(at)+"'. ")
	}
	if err := a.checkSignedHeaders(at, r); err != nil {
		return err
	}
	payload := sha256.Sum256(body)
	digest := hex.EncodeToString(payload[:])
	if stated := r.Header.Get("X-Amz-Content-Sha256"); stated != "" && stated != digest {
		return errSignature(at, signatureMismatch)
	}
	request := sha256.Sum256([]byte(a.canonicalRequest(r, digest)))
	toSign := "AWS4-HMAC-SHA256\n" + stamp + "\n" + a.scope() + "\n" + hex.EncodeToString(request[:])
	expected := hex.EncodeToString(hmacSHA256(a.signingKey(secret), toSign))
	if !hmac.Equal([]byte(expected), []byte(a.signature)) {
		return errSignature(at, signatureMismatch)
	}
	return nil
}

func checkSkew(at service, signed, now time.Time) error {
	switch {
	case now.Sub(signed) > maxSkew:
		return errSignature(at, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)",
			formatBasic(signed), formatBasic(now.Add(-maxSkew)), formatBasic(now)))
	case signed.Sub(now) > maxSkew:
		return errSignature(at, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)",
			formatBasic(signed), formatBasic(now.Add(maxSkew)), formatBasic(now)))
	}
	return nil
}

// checkSignedHeaders demands what AWS does: the host and every x-amz- header that was sent.
func (a *authorization) checkSignedHeaders(at service, r *http.Request) error {
	if !slices.Contains(a.signedHeaders, "host") {
		return errSignature(at, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !slices.Contains(a.signedHeaders, lower) {
			return errSignature(at, "'"+lower+"' must be a 'SignedHeader' in the AWS Authorization.")
		}
	}
	return nil
}

// canonicalRequest is SigV4's canonical form. The path is always / and the query empty: other requests never get here.
func (a *authorization) canonicalRequest(r *http.Request, payloadDigest string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n/\n\n")
	for _, name := range a.signedHeaders {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(a.signedHeaders, ";") + "\n" + payloadDigest)
	return b.String()
}

// headerValue joins a header's values, with runs of white space made one space.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host // net/http moves it out of the header.
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, value := range values {
		values[i] = strings.Join(strings.Fields(value), " ")
	}
	return strings.Join(values, ",")
}

func (a *authorization) signingKey(secret string) []byte {
	key := hmacSHA256([]byte("AWS4"+secret), a.date)
	key = hmacSHA256(key, a.region)
	key = hmacSHA256(key, a.service)
	return hmacSHA256(key, "aws4_request")
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
