use std::borrow::Cow;

use bstr::ByteSlice;

use super::error::JsonError;
use super::number::Number;
use super::string;
use crate::Kind;
use crate::text::excerpt;

/// A JSON text and how far it is read: a pull parser that takes one token at a time and keeps
/// nothing.
///
/// The grammar is RFC 8259, with what other implementations of the protocol write on top: the bare
/// words `nan`, `inf`, `-nan` and `-inf` where a number may stand, and inside strings `\v` and any
/// byte (control characters, invalid UTF-8) as itself.
#[derive(Clone)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    pos: usize,
}

/// Where a container starts and ends in the text.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A scalar value, or the opening bracket of a container.
pub(super) enum Token<'a> {
    Object,
    Array,
    String(Cow<'a, [u8]>),
    Number(Number<'a>),
    /// A word for a real that JSON has no number for.
    NonFinite(f64),
    Boolean(bool),
    Null,
}

impl Token<'_> {
    /// For messages: what the token is.
    pub(super) fn describe(&self) -> Cow<'static, str> {
        match self {
            Self::Object => "an object".into(),
            Self::Array => "an array".into(),
            Self::String(s) => format!("the string {:?}", excerpt(&s.to_str_lossy())).into(),
            Self::Number(number) => format!("the number {}", excerpt(number.text())).into(),
            Self::NonFinite(real) => format!("the word {real}").to_lowercase().into(),
            Self::Boolean(true) => "true".into(),
            Self::Boolean(false) => "false".into(),
            Self::Null => "null".into(),
        }
    }
}

impl<'a> Scanner<'a> {
    /// The scanner in front of the first token.
    pub(super) fn new(text: &'a [u8]) -> Result<Self, JsonError> {
        if text.starts_with(b"\xef\xbb\xbf") {
            return Err(JsonError::syntax(0, "the text starts with a byte order mark; remove it"));
        }
        let mut scanner = Self { text, pos: 0 };
        scanner.peek();
        Ok(scanner)
    }

    /// Where the next token is, between calls of the other methods.
    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    /// The same text from another place in it, one that [`Scanner::pos`] has been at.
    pub(super) fn at(&self, pos: usize) -> Self {
        Self { text: self.text, pos }
    }

    /// Skips white space and returns the byte that follows, without taking it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.pos) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.pos += 1;
        }
        None
    }

    /// Takes this byte if it is next.
    #[inline]
    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.pos += usize::from(found);
        found
    }

    #[cold]
    fn unexpected(&self, expected: &str) -> JsonError {
        let found: Cow<'static, str> = match self.text.get(self.pos) {
            None => "the end of the text".into(),
            Some(b) if b.is_ascii_graphic() => format!("{:?}", char::from(*b)).into(),
            Some(b) => format!("the byte 0x{b:02x}").into(),
        };
        JsonError::syntax(self.pos, format!("expected {expected}, found {found}"))
    }

    /// Checks that nothing but white space is left.
    pub(super) fn finish(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("nothing behind the value")),
        }
    }

    /// Takes a scalar value or an opening bracket.
    #[inline]
    pub(super) fn token(&mut self) -> Result<Token<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(Token::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => {
                self.pos += 1;
                Ok(Token::Object)
            }
            Some(b'[') => {
                self.pos += 1;
                Ok(Token::Array)
            }
            Some(b't') => self.word(b"true", Token::Boolean(true)),
            Some(b'f') => self.word(b"false", Token::Boolean(false)),
            Some(b'n') if self.text[self.pos..].starts_with(b"na") => {
                self.word(b"nan", Token::NonFinite(f64::NAN))
            }
            Some(b'n') => self.word(b"null", Token::Null),
            Some(b'i') => self.word(b"inf", Token::NonFinite(f64::INFINITY)),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn word(&mut self, word: &'static [u8], token: Token<'a>) -> Result<Token<'a>, JsonError> {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let ends = rest.get(word.len()).is_none_or(|b| !b.is_ascii_alphanumeric());
        if rest.starts_with(word) && ends {
            self.pos += word.len();
            return Ok(token);
        }
        Err(JsonError::syntax(self.pos, "expected a value, found an unknown word"))
    }

    fn number(&mut self) -> Result<Token<'a>, JsonError> {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        match rest {
            [b'-', b'n', ..] => self.word(b"-nan", Token::NonFinite(f64::NAN)),
            [b'-', b'i', ..] => self.word(b"-inf", Token::NonFinite(f64::NEG_INFINITY)),
            _ => match Number::split_off(rest) {
                Ok(number) => {
                    self.pos += number.text().len();
                    Ok(Token::Number(number))
                }
                Err(at) => {
                    self.pos += at;
                    Err(self.unexpected("a JSON number to go on or to end"))
                }
            },
        }
    }

    /// Takes a string; the opening quote is next.
    ///
    /// Always inlined: handing the result over costs as much as finding the end of a short string.
    #[inline(always)]
    fn string(&mut self) -> Result<Cow<'a, [u8]>, JsonError> {
        let start = self.pos + 1;
        let body = self.text.get(start..).unwrap_or_default();
        match body.find_byteset(b"\"\\") {
            Some(end) if body[end] == b'"' => {
                self.pos = start + end + 1;
                Ok(Cow::Borrowed(&body[..end]))
            }
            Some(escape) => match string::unescape(body, escape) {
                Ok((bytes, len)) => {
                    self.pos = start + len;
                    Ok(Cow::Owned(bytes))
                }
                Err((at, message)) => Err(JsonError::syntax(start + at, message)),
            },
            None => Err(JsonError::syntax(self.text.len(), string::UNTERMINATED)),
        }
    }

    /// Goes on inside an array: whether there is another element, which is then next.
    #[inline]
    pub(super) fn element(&mut self, first: bool) -> Result<bool, JsonError> {
        if self.accept(b']') {
            return Ok(false);
        }
        if !first && !self.accept(b',') {
            return Err(self.unexpected("',' or ']'"));
        }
        self.peek();
        Ok(true)
    }

    /// Goes on inside an object: the name of the next member, whose value is then next.
    #[inline]
    pub(super) fn member(&mut self, first: bool) -> Result<Option<Cow<'a, [u8]>>, JsonError> {
        if self.accept(b'}') {
            return Ok(None);
        }
        if !first && !self.accept(b',') {
            return Err(self.unexpected("',' or '}'"));
        }
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("the name of a member"));
        }
        let name = match self.frequent_name() {
            Some(name) => Cow::Borrowed(name),
            None => {
                let name = self.string()?;
                if !self.accept(b':') {
                    return Err(self.unexpected("':'"));
                }
                name
            }
        };
        self.peek();
        Ok(Some(name))
    }

    /// Takes the name of a member and the colon behind it if it is one of those that every value
    /// has, in the form in which most programs write it.
    #[inline]
    fn frequent_name(&mut self) -> Option<&'static [u8]> {
        let rest = self.text.get(self.pos..)?;
        let name: &[u8] = match rest {
            [b'"', b'd', ..] if rest.starts_with(b"\"data\":") => b"data",
            [b'"', b'@', ..] if rest.starts_with(b"\"@data-type\":") => b"@data-type",
            _ => return None,
        };
        self.pos += name.len() + 3;
        Some(name)
    }

    /// Takes the beginning of an object that stands for a value, up to its data, if it is written
    /// as most programs write it.
    #[inline]
    pub(super) fn frequent_head(&mut self) -> Option<Kind> {
        const BEFORE: &[u8] = b"{\"@data-type\":\"";
        let rest = self.text.get(self.pos..)?.strip_prefix(BEFORE)?;
        let (kind, behind): (Kind, &[u8]) = match rest {
            [b'n', ..] => (Kind::None, b"none\",\"data\":"),
            [b'b', ..] => (Kind::Boolean, b"boolean\",\"data\":"),
            [b'c', ..] => (Kind::Count, b"count\",\"data\":"),
            [b'i', ..] => (Kind::Integer, b"integer\",\"data\":"),
            [b'r', ..] => (Kind::Real, b"real\",\"data\":"),
            [b's', b't', ..] => (Kind::String, b"string\",\"data\":"),
            [b's', b'u', ..] => (Kind::Subnet, b"subnet\",\"data\":"),
            [b's', ..] => (Kind::Set, b"set\",\"data\":"),
            [b'a', ..] => (Kind::Address, b"address\",\"data\":"),
            [b'p', ..] => (Kind::Port, b"port\",\"data\":"),
            [b't', b'a', ..] => (Kind::Table, b"table\",\"data\":"),
            [b't', _, _, b'e', b's', b't', ..] => (Kind::Timestamp, b"timestamp\",\"data\":"),
            [b't', ..] => (Kind::Timespan, b"timespan\",\"data\":"),
            [b'e', ..] => (Kind::Enum, b"enum-value\",\"data\":"),
            [b'v', ..] => (Kind::Vector, b"vector\",\"data\":"),
            _ => return None,
        };
        if !rest.starts_with(behind) {
            return None;
        }
        self.pos += BEFORE.len() + behind.len();
        self.peek();
        Some(kind)
    }

    /// Takes the end of an object if nothing is in front of it.
    #[inline]
    pub(super) fn closes(&mut self) -> bool {
        let closes = self.text.get(self.pos) == Some(&b'}');
        self.pos += usize::from(closes);
        closes
    }

    /// Takes a whole value of any kind, with at most this many containers inside each other.
    /// Notes in `spans` where the containers in it start and end, in the order of their starts.
    pub(super) fn skip_value(
        &mut self,
        levels: usize,
        mut spans: Option<&mut Vec<Span>>,
    ) -> Result<(), JsonError> {
        let token = self.token()?;
        if !matches!(token, Token::Object | Token::Array) {
            return Ok(());
        }
        let start = self.pos - 1;
        let Some(levels) = levels.checked_sub(1) else {
            let message = "more containers inside each other than the limit allows";
            return Err(JsonError::failed(start, message));
        };
        let noted = spans.as_deref_mut().map(|spans| {
            spans.push(Span { start, end: start });
            spans.len() - 1
        });
        let mut first = true;
        match token {
            Token::Object => {
                while self.member(first)?.is_some() {
                    self.skip_value(levels, spans.as_deref_mut())?;
                    first = false;
                }
            }
            _ => {
                while self.element(first)? {
                    self.skip_value(levels, spans.as_deref_mut())?;
                    first = false;
                }
            }
        }
        if let Some(span) = noted.and_then(|at| spans?.get_mut(at)) {
            span.end = self.pos;
        }
        Ok(())
    }
}
