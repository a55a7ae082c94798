//! Where things are on the screen: a pure function of its size and of whether there is a banner.

use ratatui::layout::Rect;

/// The parts of the screen; a part without room has no height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub header: Rect,
    pub banner: Rect,
    pub body: Rect,
    pub footer: Rect,
}

/// Divides the screen. The body comes first: below five rows there is nothing else.
pub fn layout(area: Rect, banner: bool) -> Layout {
    let header = u16::from(area.height >= 3);
    let footer = u16::from(area.height >= 5);
    let banner = u16::from(banner && area.height >= 6);
    let body = area.height - header - footer - banner;
    let line = |y: u16, height: u16| Rect { y: area.y + y, height, ..area };
    Layout {
        header: line(0, header),
        banner: line(header, banner),
        body: line(header + banner, body),
        footer: line(header + banner + body, footer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_screen_at_every_size() {
        for height in 0..60 {
            for banner in [false, true] {
                let parts = layout(Rect::new(0, 0, 80, height), banner);
                let sum = parts.header.height + parts.banner.height + parts.body.height + parts.footer.height;
                assert_eq!(sum, height);
                assert!(parts.body.height > 0 || height == 0);
            }
        }
    }
}
