//! A chart of curves as SVG, readable on a light and on a dark page.

use std::fmt::Write;

use crate::svg::escaped;

/// One line of the chart.
pub struct Curve {
    /// What it shows.
    pub name: String,
    /// Share of experts that fit, share of accesses that hit.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 48.0;

/// Told apart by people who do not see all colours.
const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9"];

/// Hit rate against pool size, sizes doubling to the right.
pub fn svg(title: &str, curves: &[Curve]) -> String {
    let sizes: Vec<f64> =
        curves.first().map_or(Vec::new(), |curve| curve.points.iter().map(|p| p.0).collect());
    let (low, high) =
        (sizes.first().copied().unwrap_or(0.01).ln(), sizes.last().copied().unwrap_or(1.0).ln());
    let x = |size: f64| LEFT + (size.ln() - low) / (high - low).max(1e-9) * (WIDTH - LEFT - RIGHT);
    let y = |rate: f64| HEIGHT - BOTTOM - rate * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#888\">\n<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    // Writing to a string cannot fail.
    for tenth in (0..=10).step_by(2) {
        let rate = f64::from(tenth) / 10.0;
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#8884\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{} %</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(rate) + 4.0,
            tenth * 10,
            y = y(rate)
        );
    }
    for size in sizes {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} %</text>",
            x(size),
            HEIGHT - BOTTOM + 18.0,
            size * 100.0
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">experts that fit the pool</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 10.0
    );
    for (index, curve) in curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points: Vec<String> =
            curve.points.iter().map(|(size, rate)| format!("{:.1},{:.1}", x(*size), y(*rate))).collect();
        let row = TOP + 14.0 + 20.0 * index as f64;
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{row:.1}\" fill=\"{colour}\">{}</text>",
            points.join(" "),
            WIDTH - RIGHT + 12.0,
            escaped(&curve.name)
        );
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_names_every_curve_and_lets_no_markup_in() {
        let curve = |name: &str| Curve { name: name.to_owned(), points: vec![(0.1, 0.2), (0.5, 0.9)] };
        let chart = svg("<script>", &[curve("lru"), curve("clairvoyant")]);
        assert_eq!(chart.matches("<polyline").count(), 2);
        assert!(chart.contains(">lru<") && chart.contains(">clairvoyant<"));
        assert!(!chart.contains("<script>") && !chart.contains("NaN"), "{chart}");
    }
}
