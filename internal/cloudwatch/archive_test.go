package cloudwatch

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/awsauth/awstest"
)

func TestArchiveReadsAllPages(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	var calls []struct {
		LogGroupName, LogStreamName, NextToken string
		StartTime, EndTime                     int64
		StartFromHead                          bool
	}
	pages := []string{`{"timestamp":1,"message":"one"},{"timestamp":2,"message":"two"}`, ``, `{"timestamp":3,"message":"three"}`, ``}
	server.On("GetLogEvents", func(call awstest.Call) awstest.Answer {
		n := len(calls)
		calls = append(calls, struct {
			LogGroupName, LogStreamName, NextToken string
			StartTime, EndTime                     int64
			StartFromHead                          bool
		}{})
		g.Expect(json.Unmarshal([]byte(call.Body), &calls[n])).To(Succeed())
		// The end shows by a token that comes again, not by an empty page.
		token := fmt.Sprintf("f/%d", min(n, 2))
		return awstest.Answer{Body: fmt.Sprintf(`{"events":[%s],"nextForwardToken":%q}`, pages[n], token)}
	})
	archive, err := OpenArchive(t.Context(), "eu-west-1")
	g.Expect(err).NotTo(HaveOccurred())
	span := Span{Start: time.UnixMilli(1), End: time.UnixMilli(3).Add(time.Microsecond)}
	var messages []string
	for line, err := range archive.Lines(t.Context(), "/audit", "s", span) {
		g.Expect(err).NotTo(HaveOccurred())
		messages = append(messages, fmt.Sprint(line.Time.UnixMilli(), string(line.Message)))
	}
	g.Expect(messages).To(Equal([]string{"1one", "2two", "3three"}))
	g.Expect(calls).To(HaveLen(4))
	for n, call := range calls {
		g.Expect([]any{call.LogGroupName, call.LogStreamName, call.StartFromHead, call.StartTime, call.EndTime}).To(
			Equal([]any{"/audit", "s", true, int64(1), int64(4)}), "call %d", n)
	}
	g.Expect(calls[0].NextToken).To(BeEmpty())
	g.Expect(calls[2].NextToken).To(Equal("f/1"))
}

func TestArchiveSaysWhatToDo(t *testing.T) {
	for code, want := range map[string]string{
		"ResourceNotFoundException":   "are of the account that the trail delivers to",
		"AccessDeniedException":       "have logs:GetLogEvents allowed",
		"ExpiredTokenException":       "log in again (aws sso login)",
		"UnrecognizedClientException": "log in again (aws sso login)",
		"SomethingElseException":      "SomethingElseException",
	} {
		t.Run(code, func(t *testing.T) {
			g := NewWithT(t)
			server := awstest.Start(t)
			server.On("GetLogEvents", func(awstest.Call) awstest.Answer {
				return awstest.Answer{Code: code}
			})
			archive, err := OpenArchive(t.Context(), "eu-west-1")
			g.Expect(err).NotTo(HaveOccurred())
			count := 0
			for _, failure := range archive.Lines(t.Context(), "/audit", "s", Span{}) {
				count++
				err = failure
			}
			g.Expect(count).To(Equal(1))
			g.Expect(err).To(MatchError(And(ContainSubstring(want), ContainSubstring(`log stream "s" of log group /audit in region eu-west-1`))))
		})
	}
}

func TestArchiveNeedsCredentials(t *testing.T) {
	awstest.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err := OpenArchive(t.Context(), "eu-west-1")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("aws sso login")))
}
