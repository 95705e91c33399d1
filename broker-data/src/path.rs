//! Where in a value something is.

use std::fmt;

/// One step from a container to what is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// An element of a vector or set.
    Index(usize),
    /// A named field of a record.
    #[cfg_attr(not(feature = "serde"), allow(dead_code, reason = "records are read with serde"))]
    Field(&'static str),
    /// The key of the pair at this index of a table.
    Key(usize),
    /// The value of the pair at this index of a table.
    Value(usize),
}

/// The way from the outermost value to one inside it. Collected while an error travels outwards.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Path {
    /// The innermost step first.
    steps: Vec<Step>,
}

impl Path {
    /// The same place, seen from one container further out.
    pub(crate) fn inside(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(crate) fn is_root(&self) -> bool {
        self.steps.is_empty()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps.iter().rev().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Field(name) if position == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Key(index) => write!(f, "[{index}].key")?,
                Step::Value(index) => write!(f, "[{index}].value")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_from_the_outside_in() {
        let mut path = Path::default();
        assert!(path.is_root() && path.to_string().is_empty());
        for step in [Step::Index(3), Step::Field("hosts"), Step::Value(1), Step::Field("record")] {
            path.inside(step);
        }
        assert_eq!(path.to_string(), "record[1].value.hosts[3]");
    }
}
