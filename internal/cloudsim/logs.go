package cloudsim

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"
)

// logsOperations are the actions of CloudWatch Logs.
var logsOperations map[string]operation

func init() { // The handlers reach the table through call.operation, which an initializer may not.
	logsOperations = map[string]operation{
		"AssociateKmsKey":     (*Simulator).associateKMSKey,
		"ListTagsForResource": (*Simulator).listTagsForResource,
		"TagResource":         (*Simulator).tagResource,
		"CreateLogGroup":      (*Simulator).createLogGroup,
		"CreateLogStream":     (*Simulator).createLogStream,
		"DeleteLogGroup":      (*Simulator).deleteLogGroup,
		"DeleteLogStream":     (*Simulator).deleteLogStream,
		"DescribeLogGroups":   (*Simulator).describeLogGroups,
		"DescribeLogStreams":  (*Simulator).describeLogStreams,
		"FilterLogEvents":     (*Simulator).filterLogEvents,
		"GetLogEvents":        (*Simulator).getLogEvents,
		putAction:             (*Simulator).putLogEvents,
		"PutRetentionPolicy":  (*Simulator).putRetentionPolicy,
	}
}

// logsRequest is the input of every action but PutLogEvents; each uses some of it. The service's model forbids empty
// strings, so that an empty one means that it is missing.
type logsRequest struct {
	LogGroupName        string            `json:"logGroupName"`
	LogGroupIdentifier  string            `json:"logGroupIdentifier"`
	LogGroupNamePrefix  string            `json:"logGroupNamePrefix"`
	LogGroupNamePattern string            `json:"logGroupNamePattern"`
	LogStreamName       string            `json:"logStreamName"`
	LogStreamNames      []string          `json:"logStreamNames"`
	LogStreamNamePrefix string            `json:"logStreamNamePrefix"`
	OrderBy             string            `json:"orderBy"`
	Descending          bool              `json:"descending"`
	StartFromHead       *bool             `json:"startFromHead"`
	StartTime           *int64            `json:"startTime"`
	EndTime             *int64            `json:"endTime"`
	FilterPattern       string            `json:"filterPattern"`
	Limit               *int              `json:"limit"`
	NextToken           string            `json:"nextToken"`
	RetentionInDays     int               `json:"retentionInDays"`
	KMSKeyID            string            `json:"kmsKeyId"`
	LogGroupClass       string            `json:"logGroupClass"`
	ResourceARN         string            `json:"resourceArn"`
	Tags                map[string]string `json:"tags"`
}

// parseLogs decodes a request to CloudWatch Logs.
func (c *call) parseLogs(body []byte) error {
	if c.action == putAction {
		var err error
		if c.put, err = decodePut(body); err == nil {
			c.group, c.stream = c.put.group, c.put.stream
		}
		return err
	}
	c.logs = &logsRequest{}
	if err := json.Unmarshal(body, c.logs); err != nil {
		return errSerialization("The body is not the JSON of a " + c.action + " request")
	}
	c.group, c.stream = c.logs.LogGroupName, c.logs.LogStreamName
	if _, name, isGroup := strings.Cut(c.logs.ResourceARN, ":log-group:"); isGroup {
		c.group = name
	}
	if identifier := c.logs.LogGroupIdentifier; identifier != "" {
		if c.group != "" {
			return errParameter("Specify either logGroupName or logGroupIdentifier, not both.")
		}
		_, name, isARN := strings.Cut(identifier, ":log-group:")
		if c.group = identifier; isARN {
			c.group = strings.TrimSuffix(name, ":*")
		}
	}
	return nil
}

// The service's model (CloudWatch Logs API reference, CreateLogGroup and CreateLogStream).
const (
	groupNamePattern  = `[\.\-_/#A-Za-z0-9]+`
	streamNamePattern = `[^:*]*`
	maxNameLength     = 512
)

var (
	groupNames  = regexp.MustCompile("^" + groupNamePattern + "$")
	streamNames = regexp.MustCompile("^" + streamNamePattern + "$")
)

func checkGroupName(name string) error {
	if err := checkName(name, "logGroupName", groupNamePattern, groupNames); err != nil {
		return err
	}
	if strings.HasPrefix(name, "aws/") {
		return errParameter("Log group name must not start with 'aws/'")
	}
	return nil
}

func checkStreamName(name string) error {
	return checkName(name, "logStreamName", streamNamePattern, streamNames)
}

func (c *call) checkNames() error {
	if err := checkGroupName(c.group); err != nil {
		return err
	}
	return checkStreamName(c.stream)
}

func checkName(name, field, pattern string, valid *regexp.Regexp) error {
	switch {
	case name == "":
		return errConstraint("null", field, "not be null")
	case utf8.RuneCountInString(name) > maxNameLength:
		return errConstraint(name, field, "have length less than or equal to 512")
	case !valid.MatchString(name):
		return errConstraint(name, field, "satisfy regular expression pattern: "+pattern)
	}
	return nil
}

// page cuts one page out of items that follow a token: the index of its first item. The next token is empty at the end.
func page[T any](items []T, token string, limit *int, most int) (out []T, next string, err error) {
	size, err := pageSize(limit, most)
	if err != nil {
		return nil, "", err
	}
	start, err := parseToken(token, "", len(items))
	if err != nil {
		return nil, "", err
	}
	end := min(start+size, len(items))
	if end < len(items) {
		next = formatToken("", end)
	}
	return items[start:end], next, nil
}

// pageSize checks a limit, which defaults to the most that is allowed.
func pageSize(limit *int, most int) (int, error) {
	switch {
	case limit == nil:
		return most, nil
	case *limit < 1:
		return 0, errConstraint(*limit, "limit", "have value greater than or equal to 1")
	case *limit > most:
		return 0, errConstraint(*limit, "limit", "have value less than or equal to the maximum")
	}
	return *limit, nil
}
