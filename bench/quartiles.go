package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// quartiles tell of a set of measured values.
type quartiles struct {
	N      int     `json:"n"`
	Lower  float64 `json:"q1"`
	Median float64 `json:"median"`
	Upper  float64 `json:"q3"`
}

func quartilesOf(values []float64) quartiles {
	return quartiles{len(values), percentile(values, 25), percentile(values, 50), percentile(values, 75)}
}

// percentile interpolates between the two nearest values.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := p / 100 * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// String is the median with the quartiles.
func (q quartiles) String() string {
	return fmt.Sprintf("%s (%s–%s)", short(q.Median), short(q.Lower), short(q.Upper))
}

// MarshalJSON leaves out digits that nobody measured.
func (q quartiles) MarshalJSON() ([]byte, error) {
	type plain quartiles
	return json.Marshal(plain{q.N, significant(q.Lower), significant(q.Median), significant(q.Upper)})
}

// short is a number with three significant digits.
func short(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// significant rounds to four digits.
func significant(v float64) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	return rounded
}
