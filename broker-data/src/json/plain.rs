use super::decoder::Decoder;
use super::error::JsonError;
use super::scanner::Token;
use crate::{Kind, Value};

impl Decoder<'_, '_> {
    /// Reads JSON without type names; every kind of JSON value stands for the nearest type.
    pub(super) fn plain(&mut self, depth: usize) -> Result<(), JsonError> {
        self.begin()?;
        let at = self.input.pos();
        let value = match self.input.token()? {
            Token::Null => Value::None,
            Token::Boolean(value) => Value::Boolean(value),
            Token::NonFinite(value) => Value::Real(value),
            Token::String(bytes) => {
                self.bytes(Kind::String, &bytes);
                return Ok(());
            }
            Token::Array => {
                return self.container(Kind::Vector, depth, at, |this| {
                    this.elements(|this| this.plain(depth + 1))
                });
            }
            Token::Object if self.says_its_type() => {
                return self.members(at, depth, None);
            }
            Token::Object => {
                return self.container(Kind::Table, depth, at, |this| this.entries(depth + 1));
            }
            Token::Number(number) if !number.is_integer() => {
                Value::Real(number.to_real().ok_or_else(|| {
                    JsonError::type_clash(at, "this number is too large for a real")
                })?)
            }
            Token::Number(number) if number.is_negative() => {
                Value::Integer(number.to_integer().ok_or_else(|| {
                    JsonError::type_clash(at, "this number is below the smallest integer")
                })?)
            }
            Token::Number(number) => Value::Count(number.to_count().ok_or_else(|| {
                JsonError::type_clash(
                    at,
                    "this number is above the largest count (for a real write it with an exponent)",
                )
            })?),
        };
        value.encode_into(self.out);
        Ok(())
    }

    /// Whether the object whose bracket was just taken has a member `@data-type`: then it is a
    /// value with its type, which must not become a table.
    fn says_its_type(&mut self) -> bool {
        let contents = self.input.pos();
        let mut first = true;
        let mut says_it = false;
        // What is wrong is found again, and its place told, when the members are read.
        while let Ok(Some(name)) = self.input.member(first) {
            first = false;
            says_it = *name == *b"@data-type";
            if says_it || self.postpone().is_err() {
                break;
            }
        }
        self.input = self.input.at(contents);
        says_it
    }

    /// The members of an object as pairs of a table.
    fn entries(&mut self, depth: usize) -> Result<usize, JsonError> {
        let mut count = 0;
        while let Some(name) = self.input.member(count == 0)? {
            let in_member =
                |error: JsonError| error.in_member(String::from_utf8_lossy(&name).into_owned());
            self.begin().map_err(in_member)?;
            self.bytes(Kind::String, &name);
            self.plain(depth).map_err(in_member)?;
            count += 1;
        }
        Ok(count)
    }
}
