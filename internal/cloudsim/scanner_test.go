package cloudsim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	. "github.com/onsi/gomega"
)

// FuzzText compares the reading of strings with encoding/json's: the same are valid, and they have the same length.
func FuzzText(f *testing.F) {
	for _, seed := range []string{``, `plain`, `a\"b\\\/\b\f\n\r\t`, `é😀`, `\u00e9\ud83d\ude00`, `\ud83d`, `\ud83dx`, `\ude00\ud83d`,
		`\ud83d\u0041`, `\u12`, `\x`, `\`, "\x01", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		g := NewWithT(t)
		quoted := `"` + inner + `"`
		if !utf8.ValidString(quoted) {
			return
		}
		var want string
		wantErr := json.Unmarshal([]byte(quoted), &want)
		s := &scanner{in: []byte(quoted)}
		got, err := s.text()
		if err == nil {
			err = s.end()
		}
		if wantErr != nil {
			g.Expect(err).To(HaveOccurred(), "encoding/json says: %v", wantErr)
			return
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.String()).To(Equal(want))
		g.Expect(got.size).To(Equal(len(want)))
	})
}

// FuzzDecodePut shows that whatever is accepted is JSON, and that nothing makes it panic.
func FuzzDecodePut(f *testing.F) {
	for body := range decodeCases {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		put, err := decodePut(body)
		if err != nil {
			return
		}
		defer put.release()
		if !json.Valid(body) {
			t.Fatalf("accepted %q", body)
		}
	})
}

// decodeCases are bodies and what they hold; "" when they are refused.
var decodeCases = map[string]string{
	`{}`: `"" "" []`,
	` { "logGroupName" : "g" , "logStreamName":"s", "logEvents" : [ ] } `:                     `"g" "s" []`, //nolint:gocritic // The spaces are what it tries.
	`{"logEvents":[{"timestamp":1,"message":"a"},{"message":"b","timestamp":22}]}`:            `"" "" [1:"a" 22:"b"]`,
	`{"logEvents":[{"timestamp":-5,"message":"\u00e9\"","more":{"a":[1,true,null,-1.5e3]}}]}`: `"" "" [-5:"é\""]`,
	`{"logEvents":[{"message":null,"timestamp":null}],"logGroupName":null}`:                   `"" "" [none:""]`,
	`{"logEvents":[{}],"sequenceToken":"x","entity":{"a":{}}}`:                                `"" "" [none:""]`,
	`{"logGroupName":"\u0067"}`:         `"g" "" []`,
	``:                                  "",
	`[]`:                                "",
	`{`:                                 "",
	`{}x`:                               "",
	`{"logEvents":{}}`:                  "",
	`{"logEvents":[{"timestamp":1.5}]}`: "",
	`{"logEvents":[{"timestamp":01}]}`:  "",
	`{"logEvents":[{"timestamp":"1"}]}`: "",
	`{"logEvents":[{"timestamp":-9223372036854775808}]}`:              "",
	`{"logEvents":[{"message":1}]}`:                                   "",
	`{"logEvents":[{"message":"a"},]}`:                                "",
	`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`: "",
	"{\"logGroupName\":\"\xff\"}":                                     "",
}

func TestDecodePut(t *testing.T) {
	for body, want := range decodeCases {
		t.Run(body, func(t *testing.T) {
			g := NewWithT(t)
			put, err := decodePut([]byte(body))
			if want == "" {
				g.Expect(err).To(MatchError(HavePrefix("SerializationException")))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			defer put.release()
			events := []string{}
			for _, event := range put.events {
				timestamp := fmt.Sprint(event.timestamp)
				if event.timestamp == noTimestamp {
					timestamp = "none"
				}
				events = append(events, fmt.Sprintf("%s:%q", timestamp, event.message.String()))
			}
			g.Expect(fmt.Sprintf("%q %q %v", put.group, put.stream, events)).To(Equal(want))
		})
	}
}

// BenchmarkDecodePut has encoding/json as its baseline: 700 events of 1.4 KB that are JSON themselves.
func BenchmarkDecodePut(b *testing.B) {
	message, err := json.Marshal(`{"actor":"alice","value":"` + strings.Repeat(`a \"quoted\" word `, 75) + `"}`)
	if err != nil {
		b.Fatal(err)
	}
	event := `{"message":` + string(message) + `,"timestamp":1790000000000}`
	body := []byte(`{"logEvents":[` + strings.Repeat(event+",", 699) + event + `],"logGroupName":"g","logStreamName":"s"}`)
	b.Run("scanner", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			put, err := decodePut(body)
			if err != nil || len(put.events) != 700 {
				b.Fatal(err)
			}
			put.release()
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var put struct {
				LogEvents []struct {
					Message   string
					Timestamp int64
				}
			}
			if err := json.Unmarshal(body, &put); err != nil || len(put.LogEvents) != 700 {
				b.Fatal(err)
			}
		}
	})
}
