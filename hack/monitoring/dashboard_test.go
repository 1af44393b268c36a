package monitoring

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// dashboard is what is looked at of Grafana's format.
type dashboard struct {
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []struct {
			Name  string `json:"name"`
			Type  string `json:"type"`
			Query string `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Datasource  struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos     struct{ X, Y, W, H int } `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		Expr   string `json:"expr"`
		Legend string `json:"legendFormat"`
	} `json:"targets"`
}

// variables are what Grafana puts in place of its own and of the dashboard's.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h", "$namespace", ".*", "$trail", ".*")

func TestTheDashboard(t *testing.T) {
	var board dashboard
	if err := json.Unmarshal(readFile(t, "config/grafana/trailkeeper.json"), &board); err != nil {
		t.Fatal(err)
	}
	if board.UID != "trailkeeper" || board.Title == "" {
		t.Errorf("uid %q, title %q", board.UID, board.Title)
	}
	metrics := catalog(t)
	checkVariables(t, &board, metrics)
	ids := map[int]bool{}
	var charts []panel
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" {
			charts = append(charts, p)
			checkPanel(t, &p, metrics)
		}
	}
	if len(charts) < 15 {
		t.Errorf("only %d panels", len(charts))
	}
	for i, p := range charts {
		if slices.ContainsFunc(charts[i+1:], func(o panel) bool { return overlap(&p, &o) }) {
			t.Errorf("another panel lies over %q", p.Title)
		}
	}
}

func checkVariables(t *testing.T, board *dashboard, metrics map[string]map[string]bool) {
	t.Helper()
	var names []string
	for _, variable := range board.Templating.List {
		names = append(names, variable.Name)
		if variable.Type != "query" {
			continue
		}
		inner := strings.TrimSuffix(strings.TrimPrefix(variable.Query, "label_values("), ")")
		at := strings.LastIndex(inner, ", ")
		expression := "sum by (" + inner[at+2:] + ") (" + variables.Replace(inner[:at]) + ")"
		if err := checkExpression(expression, metrics); err != nil {
			t.Errorf("variable %s: %v", variable.Name, err)
		}
	}
	if !slices.Equal(names, []string{"datasource", "namespace", "trail"}) {
		t.Errorf("variables %v", names)
	}
}

func checkPanel(t *testing.T, p *panel, metrics map[string]map[string]bool) {
	t.Helper()
	if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
		t.Errorf("panel %d %q lacks a title, a description, a unit or a query", p.ID, p.Title)
	}
	if p.Datasource.UID != "${datasource}" {
		t.Errorf("%q reads from %q rather than from the chosen data source", p.Title, p.Datasource.UID)
	}
	if p.GridPos.X < 0 || p.GridPos.X+p.GridPos.W > 24 {
		t.Errorf("%q lies outside of the 24 columns", p.Title)
	}
	for _, target := range p.Targets {
		if err := checkExpression(variables.Replace(target.Expr), metrics); err != nil {
			t.Errorf("%q: %v", p.Title, err)
		}
		for _, used := range labelsIn.FindAllStringSubmatch(target.Legend, -1) {
			if !strings.Contains(target.Expr, used[1]) && used[1] != "pod" {
				t.Errorf("%q names the label %q in its legend, which its query does not keep", p.Title, used[1])
			}
		}
	}
}

func overlap(a, b *panel) bool {
	return a.GridPos.X < b.GridPos.X+b.GridPos.W && b.GridPos.X < a.GridPos.X+a.GridPos.W &&
		a.GridPos.Y < b.GridPos.Y+b.GridPos.H && b.GridPos.Y < a.GridPos.Y+a.GridPos.H
}
