//! Finds the blocks of a language in Markdown.

/// A fenced block: where it is, what is said of it behind the language, and what is in it.
pub(crate) struct Block {
    pub(crate) place: String,
    pub(crate) kind: String,
    pub(crate) note: String,
    pub(crate) text: String,
}

/// The blocks of one language in a file, in order.
pub(crate) fn blocks(file: &str, markdown: &str, language: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let text: Vec<&str> =
            lines.by_ref().map(|line| line.1).take_while(|l| *l != "```").collect();
        let (name, about) = info.split_once(' ').unwrap_or((info, ""));
        let (kind, note) = about.split_once(' ').unwrap_or((about, ""));
        if name == language {
            blocks.push(Block {
                place: format!("{file}:{}", at + 1),
                kind: kind.to_owned(),
                note: note.to_owned(),
                text: text.join("\n"),
            });
        }
    }
    blocks
}

impl Block {
    /// The bytes of a dump: pairs of hexadecimal digits, and behind `#` what they mean.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.fields().flat_map(|(bytes, _)| bytes).collect()
    }

    /// What is said of the lines of a dump that end with a text in quotes, and do not have it.
    pub(crate) fn misquoted(&self) -> Vec<&str> {
        let quotes = self.fields().filter_map(|(bytes, meaning)| {
            let (_, quote) = meaning.strip_suffix('"')?.split_once('"')?;
            (!bytes.ends_with(quote.as_bytes())).then_some(meaning)
        });
        quotes.collect()
    }

    /// The bytes of a dump and their meaning, which may be missing in lines that continue others.
    fn fields(&self) -> impl Iterator<Item = (Vec<u8>, &str)> {
        let mut fields: Vec<(Vec<u8>, &str)> = Vec::new();
        for line in self.text.lines() {
            let (digits, meaning) = line.split_once('#').unwrap_or((line, ""));
            let mut bytes = digits.split_ascii_whitespace().map(|pair| self.byte(pair)).collect();
            match fields.last_mut() {
                Some((before, _)) if meaning.is_empty() => before.append(&mut bytes),
                _ => fields.push((bytes, meaning.trim())),
            }
        }
        fields.into_iter()
    }

    fn byte(&self, pair: &str) -> u8 {
        let byte = (pair.len() == 2).then(|| u8::from_str_radix(pair, 16).ok()).flatten();
        byte.unwrap_or_else(|| panic!("{}: {pair:?} is no byte", self.place))
    }
}
