package main

import "time"

// rates are how fast all of a film comes, from its first byte to its last, in megabytes a second.
type rates struct {
	Film  film      `json:"film"`
	Cut   quartiles `json:"cutMBps"` // less the first seconds, by the plugin
	Plain quartiles `json:"plainMBps"`
}

func measureRates(f film, rounds int, traefik string) (rates, error) {
	cut := request{address: traefik, host: "rate." + viaPlugin, path: startPath(f, 3), bytes: everything}
	plain := request{address: traefik, host: "rate." + viaNothing, path: "/" + f.Name, bytes: everything}
	if _, err := get(cut); err != nil {
		return rates{}, err
	}
	var cuts, plains []float64
	for round := range rounds {
		one := func(r request, to *[]float64) error {
			settle()
			t, err := get(r)
			*to = append(*to, float64(t.bytes)/1e6/(t.last-t.first).Seconds())
			return err
		}
		first, second, a, b := cut, plain, &cuts, &plains
		if round%2 == 1 {
			first, second, a, b = plain, cut, &plains, &cuts
		}
		if err := one(first, a); err != nil {
			return rates{}, err
		}
		if err := one(second, b); err != nil {
			return rates{}, err
		}
	}
	return rates{f, quartilesOf(cuts), quartilesOf(plains)}, nil
}

// settle lets servers finish with a connection that was broken off.
func settle() { time.Sleep(5 * time.Millisecond) }
