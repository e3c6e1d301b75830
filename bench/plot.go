package main

import (
	"fmt"
	"image/color"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// routes are the ways to a film's middle, with a color for each that tells them apart in print and to the color-blind.
var routes = []struct {
	name  string
	of    func(seeks) *series
	color color.RGBA
	dash  []vg.Length
}{
	{"plugin, first seek", func(s seeks) *series { return s.First }, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, nil},
	{"plugin, repeated seek", func(s seeks) *series { return s.Repeated }, color.RGBA{0x00, 0x72, 0xb2, 0xff}, nil},
	{"plugin, the same cut again", func(s seeks) *series { return s.Again }, color.RGBA{0x56, 0xb4, 0xe9, 0xff}, nil},
	{"nginx mp4 behind Traefik", func(s seeks) *series { return s.Nginx }, color.RGBA{0x00, 0x9e, 0x73, 0xff}, nil},
	{"nginx mp4 directly", func(s seeks) *series { return s.Direct }, color.RGBA{0x00, 0x9e, 0x73, 0xff}, []vg.Length{4, 3}},
	{"plain file through Traefik", func(s seeks) *series { return s.Plain }, color.RGBA{0x66, 0x66, 0x66, 0xff}, []vg.Length{1, 2}},
}

// plotSeeks draws the times of all routes over the size of the moov, films with the moov first.
func plotSeeks(file string, all []seeks) error {
	plot.DefaultFont.Variant = "Sans"
	all = slices.DeleteFunc(slices.Clone(all), func(s seeks) bool { return !s.Film.MoovFirst })
	slices.SortFunc(all, func(a, b seeks) int { return int(a.Film.MoovBytes - b.Film.MoovBytes) })
	first, err := panel("to the first byte", all, func(s *series) quartiles { return s.FirstByte })
	if err != nil {
		return err
	}
	moov, err := panel("to the last byte of the moov + 64 KiB of media", all, func(s *series) quartiles { return s.Moov })
	if err != nil {
		return err
	}
	first.Legend.Top, first.Legend.Left, first.Legend.Padding = true, true, vg.Points(2)
	low, high := min(first.Y.Min, moov.Y.Min), 4*max(first.Y.Max, moov.Y.Max) // room for the legend
	first.Y.Min, moov.Y.Min, first.Y.Max, moov.Y.Max = low, low, high, high

	canvas := vgsvg.New(26*vg.Centimeter, 12*vg.Centimeter)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: 6 * vg.Millimeter, PadTop: 2 * vg.Millimeter, PadBottom: 2 * vg.Millimeter, PadLeft: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter}
	plots := [][]*plot.Plot{{first, moov}}
	for i, part := range plot.Align(plots, tiles, draw.New(canvas))[0] {
		plots[0][i].Draw(part)
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := canvas.WriteTo(out); err != nil {
		return err
	}
	return out.Close()
}

// points are medians with their quartiles.
type points struct {
	plotter.XYs
	plotter.YErrors
}

func panel(title string, all []seeks, of func(*series) quartiles) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text, p.Y.Label.Text = "moov, MB", "ms"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks(), ticks()
	p.X.Min, p.X.Max = 2, 50
	p.Add(plotter.NewGrid())
	for _, route := range routes {
		var at points
		for _, s := range all {
			q := of(route.of(s))
			at.XYs = append(at.XYs, plotter.XY{X: float64(s.Film.MoovBytes) / 1e6, Y: q.Median})
			at.YErrors = append(at.YErrors, struct{ Low, High float64 }{q.Lower - q.Median, q.Upper - q.Median})
		}
		line, dots, err := plotter.NewLinePoints(at.XYs)
		if err != nil {
			return nil, err
		}
		line.Color, line.Dashes, line.Width = route.color, route.dash, vg.Points(1.5)
		dots.Color, dots.Shape, dots.Radius = route.color, draw.CircleGlyph{}, vg.Points(2)
		bars, err := plotter.NewYErrorBars(at)
		if err != nil {
			return nil, err
		}
		bars.Color = route.color
		p.Add(line, dots, bars)
		if title == "to the first byte" {
			p.Legend.Add(route.name, line, dots)
		}
	}
	return p, nil
}

// ticks are 1, 2, 5, 10, 20 …
func ticks() plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for scale := 0.1; scale < 10000; scale *= 10 {
		for _, v := range []float64{1, 2, 5} {
			ticks = append(ticks, plot.Tick{Value: scale * v, Label: fmt.Sprintf("%.3g", scale*v)})
		}
	}
	return ticks
}
