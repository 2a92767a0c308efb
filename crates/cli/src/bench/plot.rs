//! The figures as a picture: a bar for each speed, and a line for its ceiling.

use super::figures::{Arm, Figures};
use super::report::Report;
use crate::svg::escaped;

/// Sizes in pixels.
const WIDTH: usize = 720;
const HEIGHT: usize = 360;
const PANEL: usize = 300;
const TOP: usize = 80;
const BOTTOM: usize = 300;
const BAR: usize = 56;

/// A whole SVG file.
pub fn svg(report: &Report) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    svg += &label(
        WIDTH / 2,
        24,
        16,
        &format!("{}: tokens a second, and their ceilings", escaped(&report.model)),
    );
    let phases = [
        ("prefill", report.arms.each_ref().map(|both| &both.0)),
        ("decode", report.arms.each_ref().map(|both| &both.1)),
    ];
    for (place, (name, figures)) in phases.into_iter().enumerate() {
        let left = 40 + place * (PANEL + 40);
        svg += &label(left + PANEL / 2, 52, 14, name);
        svg += &panel(left, &figures);
    }
    svg + "</svg>\n"
}

/// The bars of one phase, all to one scale.
fn panel(left: usize, figures: &[&Figures; 3]) -> String {
    let most = figures.iter().fold(f64::MIN_POSITIVE, |most, f| most.max(f.tok_s).max(f.ceiling_tok_s));
    let height = |value: f64| ((BOTTOM - TOP) as f64 * (value / most).clamp(0.0, 1.0)) as usize;
    let mut svg = format!(
        "<line x1=\"{left}\" y1=\"{BOTTOM}\" x2=\"{}\" y2=\"{BOTTOM}\" stroke=\"black\"/>\n",
        left + PANEL
    );
    for (place, (arm, figures)) in Arm::ALL.iter().zip(figures).enumerate() {
        let middle = left + PANEL * (2 * place + 1) / 6;
        let (bar, ceiling) = (BOTTOM - height(figures.tok_s), BOTTOM - height(figures.ceiling_tok_s));
        let x = middle - BAR / 2;
        svg += &format!(
            "<rect x=\"{x}\" y=\"{bar}\" width=\"{BAR}\" height=\"{}\" fill=\"#4878a8\"/>\n",
            BOTTOM - bar
        );
        svg += &format!(
            "<line x1=\"{}\" y1=\"{ceiling}\" x2=\"{}\" y2=\"{ceiling}\" stroke=\"#c04030\" stroke-width=\"3\"/>\n",
            x - 6,
            x + BAR + 6
        );
        svg += &label(middle, BOTTOM + 18, 12, arm.name());
        svg +=
            &label(middle, BOTTOM + 34, 12, &format!("{:.2} of {:.2}", figures.tok_s, figures.ceiling_tok_s));
        svg += &label(
            middle,
            BOTTOM + 50,
            12,
            &format!("{:.0} %, {}", 100.0 * figures.share, figures.limited_by),
        );
    }
    svg
}

fn label(x: usize, y: usize, size: usize, text: &str) -> String {
    format!("<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"middle\">{text}</text>\n")
}
