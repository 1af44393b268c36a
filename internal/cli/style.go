package cli

// style is a colour of the terminal, as ANSI's select graphic rendition has it.
type style string

const (
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// paint gives text a style where colours are shown. The text must be escaped.
func (t Terminal) paint(s style, text string) string {
	if !t.Colour || s == "" || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}
