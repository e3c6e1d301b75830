package providers

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// defaults is what the plugin says of its options where none is set.
const defaults = `bufferSize=524288 maxBufferSize=10485760 seek=exact root="" extensions=.mp4,.m4v,.m4a,.mov startParam=start endParam=end ` +
	"faststart=false limitRate=0 limitRateAfter=1m0s cacheSize=67108864 maxMemory=268435456"

// spelling is one way to write options, and what becomes of it.
type spelling struct {
	options map[string]any
	says    map[string]string // of the options in effect, those that differ from the defaults
	refused string            // what Traefik's log says of the router that it drops
}

// spellings are written as they stand by the file and Kubernetes providers, and as strings by labels.
var spellings = map[string]spelling{
	"strings": {
		options: map[string]any{"seek": "keyframe", "bufferSize": "256K", "limitRateAfter": "1m30s", "startParam": "from"},
		says:    map[string]string{"seek": "keyframe", "bufferSize": "262144", "limitRateAfter": "1m30s", "startParam": "from"},
	},
	"numbers": {
		options: map[string]any{"bufferSize": 262144, "maxBufferSize": 20971520, "limitRate": 1.5, "limitRateAfter": 90, "cacheSize": 0},
		says:    map[string]string{"bufferSize": "262144", "maxBufferSize": "20971520", "limitRate": "1.5", "limitRateAfter": "1m30s", "cacheSize": "0"},
	},
	"boolean":    {options: map[string]any{"faststart": true}, says: map[string]string{"faststart": "true"}},
	"untrimmed":  {options: map[string]any{"extensions": ".mp4, .mov"}, says: map[string]string{"extensions": ".mp4,.mov"}},
	"othercase":  {options: map[string]any{"BUFFERSIZE": "1m"}, says: map[string]string{"bufferSize": "1048576"}},
	"misspelt":   {options: map[string]any{"buffer_size": "1m", "seeks": "keyframe"}},
	"badword":    {options: map[string]any{"seek": "fast"}, refused: `seek: "fast": want exact, keyframe or sample`},
	"badsize":    {options: map[string]any{"maxBufferSize": "10 MB"}, refused: `maxBufferSize: "10 MB": want a size: digits with an optional k, m or g`},
	"badnumber":  {options: map[string]any{"limitRate": -1}, refused: `limitRate: "-1": want a factor such as 1.1, or 0`},
	"badboolean": {options: map[string]any{"faststart": "always"}, refused: `faststart: "always": want true or false`},
}

// lists are for the dialects that have any.
var lists = spelling{
	options: map[string]any{"extensions": []any{".mp4", " .m4v "}},
	says:    map[string]string{"extensions": ".mp4,.m4v"},
}

// absent is for the dialects that can say so.
var absent = spelling{options: map[string]any{}}

func written() map[string]spelling {
	all := maps.Clone(spellings)
	all["list"], all["absent"] = lists, absent
	return all
}

// labels writes them as a container's: all strings. Without options a label needs some value.
func (s spelling) labels(prefix string) []string {
	if len(s.options) == 0 {
		return []string{prefix + "=true"}
	}
	var labels []string
	for name, value := range s.options {
		labels = append(labels, fmt.Sprintf("%s.%s=%v", prefix, name, value))
	}
	return labels
}

// effective is how the plugin names all options.
func (s spelling) effective() string {
	words := strings.Fields(defaults)
	for i, word := range words {
		name, _, _ := strings.Cut(word, "=")
		if value, ok := s.says[name]; ok {
			words[i] = name + "=" + value
		}
	}
	return strings.Join(words, " ")
}

// checkSpellings wants of each spelling, used by a middleware of that name behind a router for that host, what is due.
func checkSpellings(t *testing.T, log func() string, client *http.Client, all map[string]spelling, middleware func(name string) string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			spelling, url := all[name], "http://"+name+".options.example.com/film.mp4"
			if spelling.refused != "" {
				status(t, client, url, 404)
				told := awaitLine(t, log, name, spelling.refused)
				t.Logf("404: %s", told)
				return
			}
			fetched(t, client, url)
			told := awaitLine(t, log, "mp4: "+middleware(name)+": ", "")
			if want := spelling.effective(); !strings.Contains(told, want) {
				t.Errorf("%v is in effect as\n%s\nand not as\n%s", spelling.options, told, want)
			}
		})
	}
}
