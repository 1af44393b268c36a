package cloudsim

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// logsTarget starts the X-Amz-Target of CloudWatch Logs' JSON 1.1 protocol.
const logsTarget = "Logs_20140328."

// call is one request on its way through the simulator.
type call struct {
	service service
	target  string // the operation that X-Amz-Target names
	action  string
	region  string
	now     time.Time
	from    *principal // nil for AssumeRoleWithWebIdentity, which nobody signs
	// group and stream are what the request names, or "".
	group, stream string
	form          url.Values   // STS
	logs          *logsRequest // CloudWatch Logs, but for PutLogEvents
	put           *putRequest  // PutLogEvents
	stored        Put          // what a PutLogEvents stored, when somebody wants to know
	fault         Fault        // the zero Fault when there is none
}

func (c *call) place() place { return place{account: c.from.account, region: c.region} }

// ServeHTTP answers one request.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{now: s.now()}
	output, err := s.answer(c, r)
	s.report(c, err)
	switch c.fault.Effect {
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Drop:
		panic(http.ErrAbortHandler) // net/http closes the connection without an answer and without a log line.
	case Reset:
		reset(w)
	default:
		reply(w, r, c, output, err)
	}
}

// answer decides what to say, in the order in which AWS does: who is it, may they, is it well-formed, can it be done.
func (s *Simulator) answer(c *call, r *http.Request) (any, error) {
	if !c.identify(r) {
		return nil, errUnknownAction(serviceLogs, r.Header.Get("X-Amz-Target"))
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	defer body.release()
	operation, err := c.operation(body.data().Bytes())
	s.meter.add(c.action, Counts{Calls: 1, WireBytes: int64(body.wire.Len()), BodyBytes: int64(body.data().Len())})
	if err != nil {
		return nil, err
	}
	if err := s.authenticate(c, r, body.wire.Bytes()); err != nil {
		return nil, err
	}
	if c.service == serviceLogs {
		if err := c.parseLogs(body.data().Bytes()); err != nil {
			return nil, err
		}
		defer c.put.release()
	}
	c.fault = s.faults.take(c)
	if err := c.fault.before(c.service); err != nil {
		return nil, err
	}
	if c.service == serviceLogs {
		if err := s.authorize(c, c.action); err != nil {
			return nil, err
		}
	}
	return operation(s, c)
}

// operation does what a call asks for; the output is written as JSON or XML, and nil as an empty body.
type operation func(*Simulator, *call) (any, error)

// identify tells the service, which is all that can be known before the body is read.
func (c *call) identify(r *http.Request) bool {
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.URL.RawQuery != "" {
		return false
	}
	target, isLogs := strings.CutPrefix(r.Header.Get("X-Amz-Target"), logsTarget)
	c.service, c.target = serviceSTS, target
	if isLogs {
		c.service = serviceLogs
	}
	return isLogs || strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// operation finds what is asked for: CloudWatch Logs says it in a header, STS in the body. Only names of operations
// that exist become the call's action.
func (c *call) operation(body []byte) (operation, error) {
	name, operations := c.target, logsOperations
	if c.service == serviceSTS {
		var err error
		if c.form, err = url.ParseQuery(string(body)); err != nil {
			return nil, errMalformedQuery()
		}
		name, operations = c.form.Get("Action"), stsOperations
	}
	found, ok := operations[name]
	if !ok {
		return nil, errUnknownAction(c.service, name)
	}
	c.action = name
	return found, nil
}

// authenticate finds out who signed the request and for which region.
func (s *Simulator) authenticate(c *call, r *http.Request, body []byte) error {
	if c.action == webIdentityAction {
		return nil // The token in it is the proof.
	}
	authorization, err := parseAuthorization(c.service, r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	c.region = authorization.region
	if len(s.options.Regions) > 0 && !matchesAny(s.options.Regions, c.region) {
		return errRegion(c.service, c.region)
	}
	from := s.identities.byAccessKey(authorization.accessKeyID)
	if from == nil || from.token != r.Header.Get("X-Amz-Security-Token") {
		return errUnknownKey(c.service)
	}
	if !from.expires.IsZero() && !c.now.Before(from.expires) {
		return errExpired(c.service)
	}
	if err := authorization.verify(c.service, r, body, from.secret, c.now); err != nil {
		return err
	}
	c.from = from
	return nil
}

// authorize checks that the caller may use an action of CloudWatch Logs on what the request names.
func (s *Simulator) authorize(c *call, action string) error {
	name, resource := "logs:"+action, streamARN(c.place(), c.group, c.stream)
	if action == "TagResource" || action == "ListTagsForResource" {
		resource = groupARN(c.place(), c.group)
	}
	return permit(c.service, c.from, partitionOf(c.region), name, resource)
}

// permit evaluates the caller's policy, and the session policy if there is one: both have to allow.
func permit(at service, from *principal, partition, action, resource string) error {
	because := ""
	switch own := from.policy.decide(action, resource); {
	case own == explicitlyDenied:
		because = "with an explicit deny in an identity-based policy"
	case own == implicitlyDenied:
		because = "because no identity-based policy allows the " + action + " action"
	case from.inline == nil:
		return nil
	default:
		switch from.inline.decide(action, resource) {
		case allowed:
			return nil
		case explicitlyDenied:
			because = "with an explicit deny in a session policy"
		default:
			because = "because no session policy allows the " + action + " action"
		}
	}
	return errAccessDenied(at, "User: "+from.arn(partition)+" is not authorized to perform: "+action+
		" on resource: "+resource+" "+because)
}

// partitionOf is the AWS partition of a region.
func partitionOf(region string) string {
	for prefix, partition := range map[string]string{
		"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc", "us-iso-": "aws-iso", "us-isob-": "aws-iso-b",
		"eu-isoe-": "aws-iso-e", "us-isof-": "aws-iso-f",
	} {
		if strings.HasPrefix(region, prefix) {
			return partition
		}
	}
	return "aws"
}
