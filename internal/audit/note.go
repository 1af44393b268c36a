package audit

import "github.com/trailkeeper/trailkeeper/api/v1alpha1"

// maxNote is the longest note in characters; a longer one is cut.
const maxNote = 255

// note is what the author said about this very change: an annotation counts only when this request set or changed it,
// so that an old note does not repeat.
func note(before, after object) string {
	for _, annotation := range []string{v1alpha1.NoteAnnotation, v1alpha1.ChangeCauseAnnotation} {
		now := text(after, "metadata", "annotations", annotation)
		if now != "" && now != text(before, "metadata", "annotations", annotation) {
			return cutRunes(now, maxNote)
		}
	}
	return ""
}

func cutRunes(s string, limit int) string {
	if len(s) <= limit {
		return s // A character has at least one byte.
	}
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	return string(runes[:limit])
}
