// Chart draws a report of bench in JSON as an SVG: a panel for each workload, in it
// a bar for each server, which is the median of its ratios to the base, and a line
// from the least of them to the greatest.
//
//	chart REPORT.json CHART.svg
package main

import (
	"encoding/json"
	"errors"
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

// report is what is drawn of a report.
type report struct {
	Started   string `json:"started"`
	Commit    string `json:"commit"`
	Base      string `json:"base"`
	Workloads []struct {
		Name  string `json:"name"`
		About string `json:"about"`
	} `json:"workloads"`
	Series []struct {
		Workload string `json:"workload"`
		Server   string `json:"server"`
		Ratio    struct{ Median, Min, Max float64 }
	} `json:"series"`
}

// panel is one set of bars, which are drawn from the top.
type panel struct {
	title string
	bars  []bar
}

// bar is a value with its range. A strong one has a colour of its own.
type bar struct {
	name            string
	value, min, max float64
	strong          bool
}

const (
	columns    = 2
	panelWidth = 13 * vg.Centimeter
	barHeight  = 0.55 * vg.Centimeter
	frame      = 2.1 * vg.Centimeter // of a panel, above and below its bars
	headHeight = 1.2 * vg.Centimeter
)

var (
	weak   = color.RGBA{150, 165, 180, 255}
	strong = color.RGBA{20, 110, 190, 255}
	line   = color.RGBA{190, 60, 40, 255}
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: chart REPORT.json CHART.svg")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	title := fmt.Sprintf("Requests per second of processor time, %s = 1 (commit %s, %s)", r.Base, r.Commit, r.Started[:min(len(r.Started), len("2006-01-02"))])
	canvas, err := drawAll(title, r.panels())
	if err != nil {
		return err
	}
	return save(canvas, to)
}

// panels are those of the workloads that have ratios.
func (r *report) panels() (all []panel) {
	for _, w := range r.Workloads {
		p := panel{title: w.Name + ": " + w.About}
		for _, s := range r.Series {
			if s.Workload == w.Name && s.Ratio.Median > 0 {
				p.bars = append(p.bars, bar{s.Server, s.Ratio.Median, s.Ratio.Min, s.Ratio.Max, s.Server == "catboat"})
			}
		}
		if p.bars != nil {
			all = append(all, p)
		}
	}
	return all
}

// drawAll draws panels, two side by side.
func drawAll(title string, panels []panel) (*vgsvg.Canvas, error) {
	if len(panels) == 0 {
		return nil, errors.New("nothing to draw")
	}
	most := len(slices.MaxFunc(panels, func(a, b panel) int { return len(a.bars) - len(b.bars) }).bars)
	rows := (len(panels) + columns - 1) / columns
	panelHeight := vg.Length(most)*barHeight + frame
	canvas := vgsvg.New(columns*panelWidth, vg.Length(rows)*panelHeight+headHeight)
	all := draw.New(canvas)
	all.FillPolygon(color.White, corners(all.Rectangle))
	all.FillText(heading(), vg.Point{X: all.Center().X, Y: all.Max.Y - headHeight/3}, title)
	tiles := draw.Tiles{Cols: columns, Rows: rows, PadX: vg.Centimeter, PadY: vg.Centimeter / 3, PadLeft: vg.Centimeter / 2, PadRight: vg.Centimeter / 2}
	body := draw.Crop(all, 0, 0, 0, -headHeight)
	for i, p := range panels {
		drawn, err := p.plot()
		if err != nil {
			return nil, err
		}
		drawn.Draw(tiles.At(body, i%columns, i/columns))
	}
	return canvas, nil
}

func corners(r vg.Rectangle) []vg.Point {
	return []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}}
}

func save(canvas *vgsvg.Canvas, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func heading() draw.TextStyle {
	s := plot.New().Title.TextStyle
	s.XAlign, s.YAlign = draw.XCenter, draw.YTop
	return s
}

// spare is room behind a name: who looks at the chart may have a wider font than it was
// measured with.
const spare = "    "

// plot makes horizontal bars with their ranges and values, and a line at 1.
func (p panel) plot() (*plot.Plot, error) {
	d := plot.New()
	d.Title.Text = p.title
	d.Title.TextStyle.Font.Size = 9
	d.X.Min = 0
	names := make([]string, len(p.bars))
	ranges := make(spans, len(p.bars))
	labels := plotter.XYLabels{}
	for i := range p.bars {
		b := p.bars[len(p.bars)-1-i] // the axis goes up
		names[i] = b.name + spare
		ranges[i] = span{b, float64(i)}
		if err := b.add(d, i); err != nil {
			return nil, err
		}
		labels.XYs = append(labels.XYs, plotter.XY{X: b.max, Y: float64(i)})
		labels.Labels = append(labels.Labels, fmt.Sprintf(" %.2f", b.value))
		d.X.Max = max(d.X.Max, b.max*1.15)
	}
	if err := addRanges(d, ranges, labels); err != nil {
		return nil, err
	}
	d.NominalY(names...)
	return d, nil
}

func (b bar) add(d *plot.Plot, at int) error {
	bars, err := plotter.NewBarChart(plotter.Values{b.value}, barHeight*0.7)
	if err != nil {
		return err
	}
	bars.Horizontal, bars.XMin, bars.Color, bars.LineStyle.Width = true, float64(at), weak, 0
	if b.strong {
		bars.Color = strong
	}
	d.Add(bars)
	return nil
}

func addRanges(d *plot.Plot, ranges spans, labels plotter.XYLabels) error {
	whiskers, err := plotter.NewXErrorBars(ranges)
	if err != nil {
		return err
	}
	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(ranges)) - 0.5}})
	if err != nil {
		return err
	}
	one.Color = line
	values, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	for i := range values.TextStyle {
		values.TextStyle[i].YAlign = draw.YCenter
	}
	d.Add(one, whiskers, values)
	return nil
}

// spans are what gonum's error bars are made of.
type spans []span

type span struct {
	bar
	at float64
}

func (s spans) Len() int                         { return len(s) }
func (s spans) XY(i int) (x, y float64)          { return s[i].value, s[i].at }
func (s spans) XError(i int) (low, high float64) { return s[i].min - s[i].value, s[i].max - s[i].value }
