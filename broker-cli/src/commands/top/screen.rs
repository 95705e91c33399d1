//! How everything is laid out on the screen.

use super::model::{COLUMNS, Model, Row};
use crate::output::{Align, printable, short};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row as Cells, Sparkline, Table};
use std::collections::VecDeque;

/// The most lines about nodes.
const TITLES: usize = 4;

/// From this width on there are addresses and trends of each peer.
const WIDE: u16 = 120;

/// How wide the numbers are, in characters.
const NUMBERS: [u16; 7] = [6, 6, 6, 7, 6, 8, 7];

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let titles = titles(model);
    let height = frame.area().height;
    let layout = Layout::vertical([
        Constraint::Length(u16::try_from(titles.len()).unwrap_or(1)),
        Constraint::Length(if height >= 40 { 6 } else { 3 }),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ]);
    let [head, charts, peers, below, help] = layout.areas(frame.area());
    frame.render_widget(Paragraph::new(titles), head);
    draw_charts(model, frame, charts);
    draw_peers(model, frame, peers);
    let halves = Layout::horizontal([Constraint::Percentage(40), Constraint::Fill(1)]);
    let [left, right] = halves.areas(below);
    draw_topics(model, frame, left);
    draw_feed(model, frame, right);
    draw_help(model, frame, help);
}

fn titles(model: &Model) -> Vec<Line<'static>> {
    let mut all = model.titles();
    if all.len() > TITLES {
        let more = all.len() - (TITLES - 1);
        all.truncate(TITLES - 1);
        all.push(Err(format!("and {more} more that do not answer")));
    }
    let line = |title: Result<String, String>| match title {
        Ok(text) => Line::styled(text, Modifier::BOLD),
        Err(text) => Line::styled(text, Style::new().fg(Color::Red)),
    };
    all.into_iter().map(line).collect()
}

fn draw_charts(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let areas = Layout::horizontal([Constraint::Fill(1); 3]).spacing(1).areas::<3>(area);
    let charts =
        [("delivered/s", Color::Green), ("received/s", Color::Cyan), ("dropped/s", Color::Red)];
    for ((area, (name, color)), rates) in areas.into_iter().zip(charts).zip(&model.totals) {
        let last = latest(rates, usize::from(area.width));
        let now = short(last.last().copied().unwrap_or_default() as f64);
        let block = Block::new().title(format!("{name} {now}"));
        let chart = Sparkline::default().block(block).data(&last).style(Style::new().fg(color));
        frame.render_widget(chart, area);
    }
}

fn latest(rates: &VecDeque<u64>, count: usize) -> Vec<u64> {
    rates.iter().skip(rates.len().saturating_sub(count)).copied().collect()
}

fn draw_peers(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let has_nodes = model.node_name(0).is_some();
    let is_wide = area.width >= WIDE;
    let trend = if is_wide { area.width / 8 } else { 0 };
    let address = if is_wide { area.width / 5 } else { 0 };
    let node = if has_nodes { area.width / 8 } else { 0 };
    let numbers = NUMBERS.iter().map(|width| width + 1).sum::<u16>();
    let spaces = [trend, address, node].iter().filter(|width| **width > 0).count();
    let spaces = u16::try_from(spaces).unwrap_or_default();
    let others = numbers + trend + address + node + spaces;
    let name = area.width.saturating_sub(others).max(8);
    let widths: Vec<(usize, u16)> = [node, name]
        .into_iter()
        .chain(NUMBERS)
        .chain([address])
        .enumerate()
        .filter(|(_, width)| *width > 0)
        .collect();
    let rows = model.rows();
    // The head takes one line.
    let room = usize::from(area.height.saturating_sub(1));
    let first = model.scroll.min(rows.len().saturating_sub(room));
    let shown = rows.iter().skip(first).take(room).map(|row| {
        let cells = model.cells(row);
        let cells = widths.iter().filter_map(|(at, width)| {
            Some(aligned(cut(cells.get(*at)?, usize::from(*width)), COLUMNS.get(*at)?.1))
        });
        let bars = (trend > 0).then(|| Line::from(bars(&row.trend, usize::from(trend))));
        Cells::new(cells.chain(bars)).style(style(row))
    });
    let heads = widths.iter().filter_map(|(at, _)| COLUMNS.get(*at));
    let heads = heads.map(|(name, align)| aligned((*name).to_owned(), *align));
    let heads = heads.chain((trend > 0).then(|| Line::from("OUT/s + IN/s")));
    let all = widths.iter().map(|(_, width)| *width).chain((trend > 0).then_some(trend));
    let table = Table::new(shown, all.map(Constraint::Length))
        .column_spacing(1)
        .header(Cells::new(heads).style(Modifier::REVERSED));
    frame.render_widget(table, area);
}

fn aligned(text: String, align: Align) -> Line<'static> {
    match align {
        Align::Left => Line::from(text),
        Align::Right => Line::from(text).right_aligned(),
    }
}

fn style(row: &Row) -> Style {
    let Some(flow) = &row.flow else { return Style::new().fg(Color::DarkGray) };
    match row.rate() {
        Some(rate) if rate.dropped > 0.0 => Style::new().fg(Color::Red),
        _ if flow.dropped > 0 || flow.oldest.is_some_and(|oldest| oldest >= 1.0) => {
            Style::new().fg(Color::Yellow)
        }
        _ => Style::new(),
    }
}

/// As much of the text as fits; where something is missing, that is said.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['>']).collect()
}

/// The latest rates as bars, the highest of them as a full one.
fn bars(rates: &[u64], width: usize) -> String {
    let last = rates.get(rates.len().saturating_sub(width)..).unwrap_or_default();
    let most = last.iter().copied().max().unwrap_or_default().max(1);
    let bar = |rate: &u64| {
        let level = (u128::from(*rate) * 8).div_ceil(u128::from(most));
        [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'].get(level as usize).copied().unwrap_or('█')
    };
    last.iter().map(bar).collect()
}

fn draw_topics(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let lines = model
        .topics()
        .into_iter()
        .map(|(topic, rate)| Line::from(format!("{:>7}  {}", short(rate), printable(topic))));
    let lines: Vec<Line<'_>> = lines.take(usize::from(area.height)).collect();
    let block = Block::bordered().title("Topics, messages/s");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_feed(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let lines = model.feed.iter().take(usize::from(area.height)).map(|line| {
        let color = match line.level.as_str() {
            "info" => Style::new(),
            "warning" => Style::new().fg(Color::Yellow),
            _ => Style::new().fg(Color::Red),
        };
        Line::styled(line.text.as_str(), color)
    });
    let lines: Vec<Line<'_>> = lines.collect();
    let block = Block::bordered().title("What happened (UTC)");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_help(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let paused = if model.is_paused { " PAUSED" } else { "" };
    let order = model.order.name();
    let text =
        format!("q quit  sort: r rate d drops a age n name  p pause  arrows  [{order}]{paused}");
    frame.render_widget(Paragraph::new(text).style(Modifier::REVERSED), area);
}
