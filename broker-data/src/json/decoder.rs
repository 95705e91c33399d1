use super::error::JsonError;
use super::scanner::{Scanner, Span};
use crate::binary::{Cursor, is_ascending, write_size};
use crate::{DecodeError, DecodeLimits, Kind, validate};

/// Translates JSON into the binary form, in one pass and in the order of the text.
///
/// What the JSON says about a value comes from the modules `typed` and `plain`; here is what they
/// share.
pub(super) struct Decoder<'a, 'o> {
    pub(super) input: Scanner<'a>,
    pub(super) out: &'o mut Vec<u8>,
    limits: DecodeLimits,
    /// How many values were begun.
    values: usize,
    /// The containers in values that were postponed, in the order of their starts.
    skipped: Vec<Span>,
    /// In how many sets and tables the current value is.
    unique: usize,
    /// Whether there is a set or table that is not known to be in order, so that something could be
    /// twice.
    unordered: bool,
    trap: Option<Trap<'o>>,
}

/// An error that was found in the binary form and is looked for in the text.
#[derive(Clone, Copy)]
struct Trap<'o> {
    /// The number of the value that the error is about.
    value: usize,
    error: &'o DecodeError,
}

/// Runs `read` over the whole text and appends what it writes; in case of an error, nothing.
pub(super) fn run<'a, T>(
    text: &'a [u8],
    limits: DecodeLimits,
    out: &mut Vec<u8>,
    read: impl Fn(&mut Decoder<'a, '_>) -> Result<T, JsonError>,
) -> Result<T, JsonError> {
    let base = out.len();
    let result = Decoder::run(text, limits, out, None, &read).and_then(|(result, unordered)| {
        let payload = out.get(base..).unwrap_or_default();
        if unordered && let Err(error) = validate(payload, limits) {
            return Err(locate(text, limits, payload, &error, &read));
        }
        Ok(result)
    });
    if result.is_err() {
        out.truncate(base);
    }
    result
}

/// Reads the text again up to the value that is wrong in the binary form.
fn locate<'a, T>(
    text: &'a [u8],
    limits: DecodeLimits,
    payload: &[u8],
    error: &DecodeError,
    read: impl Fn(&mut Decoder<'a, '_>) -> Result<T, JsonError>,
) -> JsonError {
    let trap = Trap { value: values_before(payload, error.offset()), error };
    match Decoder::run(text, limits, &mut Vec::new(), Some(trap), read) {
        Err(located) => located,
        Ok(_) => JsonError::failed(0, error.to_string()),
    }
}

/// How many values begin before this offset of a payload.
fn values_before(payload: &[u8], offset: usize) -> usize {
    let mut cursor = Cursor::new(payload);
    let mut count = 0;
    while cursor.pos() < offset {
        let kind = payload.get(cursor.pos()).and_then(|&tag| Kind::from_tag(tag));
        let end = match kind {
            Some(Kind::Set | Kind::Table | Kind::Vector) => {
                cursor.u8().and_then(|_| cursor.size()).map(drop)
            }
            _ => cursor.skip_value(),
        };
        if end.is_err() {
            break;
        }
        count += 1;
    }
    count
}

impl<'a, 'o> Decoder<'a, 'o> {
    fn run<T>(
        text: &'a [u8],
        limits: DecodeLimits,
        out: &'o mut Vec<u8>,
        trap: Option<Trap<'o>>,
        read: impl Fn(&mut Self) -> Result<T, JsonError>,
    ) -> Result<(T, bool), JsonError> {
        let input = Scanner::new(text)?;
        let mut decoder = Self {
            input,
            out,
            limits,
            values: 0,
            skipped: Vec::new(),
            unique: 0,
            unordered: false,
            trap,
        };
        let result = read(&mut decoder)?;
        decoder.input.finish()?;
        Ok((result, decoder.unordered))
    }

    /// Notes that the next value begins here.
    #[inline]
    pub(super) fn begin(&mut self) -> Result<(), JsonError> {
        if let Some(trap) = self.trap
            && trap.value == self.values
        {
            return Err(JsonError::failed(self.input.pos(), trap.error.kind().to_string()));
        }
        self.values += 1;
        Ok(())
    }

    /// Takes a whole value of no interest.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        self.input.skip_value(self.levels(), None)
    }

    /// Takes a whole value that cannot be read yet; returns where it starts, for
    /// [`Decoder::back_at`].
    ///
    /// Such values may be inside each other, and going back leads through the outer ones to the
    /// inner ones again. The containers in them are therefore noted, so that no text is skipped
    /// more than once.
    pub(super) fn postpone(&mut self) -> Result<usize, JsonError> {
        let start = self.input.pos();
        match self.skipped.binary_search_by_key(&start, |span| span.start) {
            Ok(at) => self.input = self.input.at(self.skipped[at].end),
            Err(_) => self.input.skip_value(self.levels(), Some(&mut self.skipped))?,
        }
        Ok(start)
    }

    /// How many JSON containers may be inside each other: a table takes three for each level, and
    /// the object around a value that is none one, and its `data` another.
    fn levels(&self) -> usize {
        3 * self.limits.depth() + 2
    }

    /// Runs `read` at an earlier place of the text, then goes on here.
    pub(super) fn back_at<T>(
        &mut self,
        pos: usize,
        read: impl FnOnce(&mut Self) -> Result<T, JsonError>,
    ) -> Result<T, JsonError> {
        let earlier = self.input.at(pos);
        let here = std::mem::replace(&mut self.input, earlier);
        let result = read(self);
        self.input = here;
        result
    }

    /// Writes a string or an enum label.
    pub(super) fn bytes(&mut self, kind: Kind, bytes: &[u8]) {
        self.out.push(kind as u8);
        write_size(bytes.len(), self.out);
        self.out.extend_from_slice(bytes);
    }

    /// Writes the head of a container inside of `depth` others, lets `contents` read and write
    /// the elements, and puts their number into the head.
    pub(super) fn container(
        &mut self,
        kind: Kind,
        depth: usize,
        at: usize,
        contents: impl FnOnce(&mut Self) -> Result<usize, JsonError>,
    ) -> Result<(), JsonError> {
        let limit = self.limits.depth();
        if depth >= limit {
            let message = format!("more than {limit} containers inside each other");
            return Err(JsonError::failed(at, message));
        }
        self.out.extend_from_slice(&[kind as u8, 0]);
        let size_at = self.out.len() - 1;
        let unique = usize::from(kind != Kind::Vector);
        self.unique += unique;
        let count = contents(self)?;
        self.unique -= unique;
        match u8::try_from(count) {
            Ok(count) if count < 0x80 => self.out[size_at] = count,
            _ => {
                let mut size = Vec::new();
                write_size(count, &mut size);
                self.out.splice(size_at..=size_at, size);
            }
        }
        // The outermost one speaks for those in it.
        if unique > 0 && self.unique == 0 {
            self.unordered |= !is_ascending(self.out.get(size_at - 1..).unwrap_or_default());
        }
        Ok(())
    }

    /// Lets `element` read each element of an array whose bracket is already taken; counts them.
    #[inline]
    pub(super) fn elements(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<usize, JsonError> {
        let mut count = 0;
        while self.input.element(count == 0)? {
            element(self).map_err(|error| error.in_element(count))?;
            count += 1;
        }
        Ok(count)
    }
}
