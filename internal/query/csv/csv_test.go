package csv

import (
	"bytes"
	stdcsv "encoding/csv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

func TestRowsAreRFC4180(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	writer := NewWriter(&out)
	path := "/data/a"
	row := &query.Row{
		Source: query.SourceCluster, Outcome: v1alpha1.OutcomePersisted,
		Event: &v1alpha1.AuditEvent{
			ObjectMeta: metav1.ObjectMeta{Name: "01"},
			Spec: v1alpha1.AuditEventSpec{
				ID: "id", Time: metav1.NewMicroTime(time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC)), Action: "Update",
				Actor:    v1alpha1.Actor{Username: `=cmd|' /C calc'!A0`, Type: "User"},
				TrailRef: v1alpha1.TrailReference{Namespace: "shop", Name: "all"},
				Resource: v1alpha1.ResourceReference{Kind: "ConfigMap", Namespace: "shop", Name: "a,\"b\""},
				Note:     "one\ntwo",
				Changes: []v1alpha1.Change{{
					Op: "replace", Path: &path, From: &runtime.RawExtension{Raw: []byte(`1`)}, Value: &runtime.RawExtension{Raw: []byte(`2`)},
				}},
			},
		},
	}
	g.Expect(writer.Header()).To(Succeed())
	g.Expect(writer.Write(row)).To(Succeed())
	g.Expect(writer.Flush()).To(Succeed())
	g.Expect(out.String()).To(Equal(strings.Join([]string{
		"time,action,actor,actor_type,kind,group,namespace,name,subresource,outcome,note,message,changes,trail_namespace,trail,source,id,event\r\n",
		`2026-03-01T12:00:00.000005Z,Update,'=cmd|' /C calc'!A0,User,ConfigMap,,shop,"a,""b""",,Persisted,"one`, "\r\n", `two",`,
		`"'=cmd|' /C calc'!A0 updated ConfigMap a,""b"" in namespace shop",`,
		`"[{""op"":""replace"",""path"":""/data/a"",""from"":1,""value"":2}]",shop,all,Cluster,id,01`, "\r\n",
	}, "")))
}

func TestLongCellsAreCut(t *testing.T) {
	g := NewWithT(t)
	g.Expect(clip(strings.Repeat("é", maxCell))).To(HaveLen(2 * maxCell))
	long := clip(strings.Repeat("é", maxCell+1))
	g.Expect(utf8.RuneCountInString(long)).To(Equal(maxCell + utf8.RuneCountInString(cut)))
	g.Expect(long).To(HaveSuffix(cut))
}

// FuzzCells shows that no cell begins a formula, that every record has its columns, and that the text can be read back.
func FuzzCells(f *testing.F) {
	for _, text := range []string{
		"", "'", "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "\ufeff=1", "＝1", "a\"b", "a,b", "a\r\nb", "\x00=1", "\xff=1", "'=1",
	} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		g := NewWithT(t)
		var out bytes.Buffer
		writer := NewWriter(&out)
		event := &v1alpha1.AuditEvent{Spec: v1alpha1.AuditEventSpec{Action: "Create"}}
		event.Spec.Actor.Username, event.Spec.Note = first, second
		g.Expect(writer.Write(&query.Row{Event: event})).To(Succeed())
		g.Expect(writer.Flush()).To(Succeed())
		g.Expect(utf8.Valid(out.Bytes())).To(BeTrue())

		records, err := stdcsv.NewReader(&out).ReadAll()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(records).To(HaveLen(1))
		g.Expect(records[0]).To(HaveLen(len(Columns())))
		for _, cell := range records[0] {
			g.Expect(strings.TrimLeft(cell, " \u00a0\ufeff\v\f")).NotTo(MatchRegexp("^[=+@\t\r\n＝＋－＠-]"))
		}
		unified := strings.NewReplacer("\r\n", "\n", "\r", "")
		g.Expect(Text(records[0][2])).To(Equal(unified.Replace(clip(first))))
		g.Expect(Text(records[0][10])).To(Equal(unified.Replace(clip(second))))
	})
}
