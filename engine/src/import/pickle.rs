//! Reads numbers out of a Python pickle without running it.
//!
//! A pickle is a program for a small stack machine, and one instruction calls any function that it
//! names. This machine knows the instructions that numpy arrays and plain objects need, and treats
//! as data the few names of [`ALLOWED`]; any other name ends the reading. Format: Lib/pickletools.py
//! of CPython, protocols 2 to 4.

use std::collections::HashMap;

use super::budget::Reason;
use super::npy::NpyArray;

/// What a pickle may name; all of it is data here, nothing is called.
const ALLOWED: [(&str, &str); 11] = [
    ("core.dataclass", "Pointmap"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("copyreg", "_reconstructor"),
    ("copy_reg", "_reconstructor"),
    ("builtins", "object"),
    ("__builtin__", "object"),
    ("_codecs", "encode"),
    ("__main__", "Pointmap"),
];
/// Most values that a pickle may make.
const MAX_NODES: usize = 1 << 20;

type Id = usize;

/// A value; parts are places in [`Pickle::nodes`], so that nothing recurses.
#[derive(Clone, Debug)]
enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Bytes that `_codecs.encode` made of a text.
    Encoded(Vec<u8>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(&'a str, &'a str),
    /// What a named thing was asked to make, with its arguments, and the state set on it.
    Object {
        class: (&'a str, &'a str),
        arguments: Id,
        state: Option<Id>,
    },
    Mark,
}

/// A read pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle.
    ///
    /// # Errors
    /// The name that is not allowed, an unknown instruction, truncation.
    pub(super) fn parse(bytes: &'a [u8]) -> Reason<Self> {
        let mut machine = Machine {
            rest: bytes,
            nodes: Vec::new(),
            stack: Vec::new(),
            memo: HashMap::new(),
        };
        while !machine.step()? {}
        let root = machine.pop()?;
        Ok(Self {
            nodes: machine.nodes,
            root,
        })
    }

    /// The attribute of the pickled object, or the entry of the pickled dictionary.
    pub(super) fn attribute(&self, name: &str) -> Option<usize> {
        let dict = match &self.nodes[self.root] {
            Node::Object { state, .. } => (*state)?,
            _ => self.root,
        };
        // An object with slots has a pair of dictionaries as its state.
        let dict = match &self.nodes[dict] {
            Node::Tuple(parts) => *parts
                .iter()
                .find(|id| matches!(self.nodes[**id], Node::Dict(_)))?,
            _ => dict,
        };
        let Node::Dict(entries) = &self.nodes[dict] else {
            return None;
        };
        entries
            .iter()
            .find(|(key, _)| matches!(self.nodes[*key], Node::Text(text) if text == name))
            .map(|(_, value)| *value)
    }

    /// The array that stands under a name.
    pub(super) fn array(&self, name: &str) -> Reason<NpyArray<'_>> {
        let id = self
            .attribute(name)
            .ok_or_else(|| format!("has no `{name}`"))?;
        self.array_at(id)
            .ok_or_else(|| format!("`{name}` is no plain array"))?
            .map_err(|reason| format!("{name}: {reason}"))
    }

    /// State of an array: version, shape, type, whether columns come first, bytes.
    fn array_at(&self, id: Id) -> Option<Reason<NpyArray<'_>>> {
        let Node::Object {
            class: (_, "_reconstruct"),
            state: Some(state),
            ..
        } = self.nodes[id]
        else {
            return None;
        };
        let &[_version, shape, dtype, fortran, values] = self.tuple(state)? else {
            return None;
        };
        let shape: Vec<usize> = self
            .tuple(shape)?
            .iter()
            .map(|&d| match self.nodes[d] {
                Node::Int(n) => usize::try_from(n).ok(),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let fortran = match self.nodes[fortran] {
            Node::Bool(fortran) => fortran,
            Node::Int(fortran) => fortran != 0,
            _ => return None,
        };
        let values = match &self.nodes[values] {
            Node::Bytes(bytes) => bytes,
            Node::Encoded(bytes) => &bytes[..],
            _ => return Some(Err("holds Python objects, which are not read".to_owned())),
        };
        Some(NpyArray::from_parts(
            &self.descr(dtype)?,
            fortran,
            shape,
            values,
        ))
    }

    /// `f4` and its byte order as numpy's `<f4`.
    fn descr(&self, dtype: Id) -> Option<String> {
        let Node::Object {
            class: ("numpy", "dtype"),
            arguments,
            state,
        } = self.nodes[dtype]
        else {
            return None;
        };
        let Node::Text(kind) = self.nodes[*self.tuple(arguments)?.first()?] else {
            return None;
        };
        let order = match state.and_then(|state| self.nodes.get(*self.tuple(state)?.get(1)?)) {
            Some(Node::Text(order)) => order,
            _ => "|",
        };
        Some(format!("{order}{kind}"))
    }

    fn tuple(&self, id: Id) -> Option<&[Id]> {
        match &self.nodes[id] {
            Node::Tuple(parts) => Some(parts),
            _ => None,
        }
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    /// Carries out one instruction; true at the end.
    fn step(&mut self) -> Reason<bool> {
        let code = self.take(1)?[0];
        match code {
            b'.' => return Ok(true),
            0x80 => {
                self.take(1)?;
            }
            0x95 => {
                self.take(8)?;
            }
            b'(' => self.push(Node::Mark)?,
            b'0' => {
                self.pop()?;
            }
            b'N' => self.push(Node::None)?,
            0x88 | 0x89 => self.push(Node::Bool(code == 0x88))?,
            b'J' | b'K' | b'M' | 0x8a | b'G' => self.number(code)?,
            b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e => self.string(code)?,
            b')' | b't' | 0x85 | 0x86 | 0x87 => self.tuple(code)?,
            b']' => self.push(Node::List(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'a' | b'e' | b's' | b'u' => self.extend(code)?,
            0x94 | b'q' | b'r' | b'h' | b'j' => self.remember(code)?,
            b'c' | 0x93 => self.global(code)?,
            b'R' | 0x81 => self.call()?,
            b'b' => self.build()?,
            _ => return Err(format!("pickle instruction {code:#04x} is not read")),
        }
        Ok(false)
    }

    fn take(&mut self, count: usize) -> Reason<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or("truncated pickle")?;
        self.rest = rest;
        Ok(taken)
    }

    /// A little-endian number of up to eight bytes.
    fn word(&mut self, count: usize) -> Reason<u64> {
        let bytes = self.take(count)?;
        Ok(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn push(&mut self, node: Node<'a>) -> Reason<()> {
        if self.nodes.len() == MAX_NODES {
            return Err("a pickle of more than a million values".to_owned());
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    fn pop(&mut self) -> Reason<Id> {
        self.stack
            .pop()
            .ok_or_else(|| "damaged pickle: nothing on the stack".to_owned())
    }

    /// What stands above the last mark, which goes with it.
    fn pop_to_mark(&mut self) -> Reason<Vec<Id>> {
        let at = self
            .stack
            .iter()
            .rposition(|id| matches!(self.nodes[*id], Node::Mark))
            .ok_or("damaged pickle: no mark")?;
        let above = self.stack.split_off(at + 1);
        self.stack.pop();
        Ok(above)
    }

    fn number(&mut self, code: u8) -> Reason<()> {
        let node = match code {
            b'J' => Node::Int(i64::from(self.word(4)? as u32 as i32)),
            b'K' => Node::Int(self.word(1)? as i64),
            b'M' => Node::Int(self.word(2)? as i64),
            b'G' => {
                self.take(8)?;
                Node::Float
            }
            _ => {
                let count = self.word(1)? as usize;
                if count > 8 {
                    return Err(format!("an integer of {count} bytes"));
                }
                let word = self.word(count)?;
                let unused = 64 - 8 * count as u32;
                Node::Int(if count == 0 {
                    0
                } else {
                    (word << unused) as i64 >> unused
                })
            }
        };
        self.push(node)
    }

    fn string(&mut self, code: u8) -> Reason<()> {
        let width = match code {
            0x8c | b'C' => 1,
            0x8d | 0x8e => 8,
            _ => 4,
        };
        let count = usize::try_from(self.word(width)?).map_err(|e| e.to_string())?;
        let bytes = self.take(count)?;
        if matches!(code, b'B' | b'C' | 0x8e) {
            return self.push(Node::Bytes(bytes));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "a text that is none")?;
        self.push(Node::Text(text))
    }

    fn tuple(&mut self, code: u8) -> Reason<()> {
        let parts = match code {
            b')' => Vec::new(),
            b't' => self.pop_to_mark()?,
            _ => {
                let count = usize::from(code - 0x84);
                let at = self
                    .stack
                    .len()
                    .checked_sub(count)
                    .ok_or("damaged pickle: nothing on the stack")?;
                self.stack.split_off(at)
            }
        };
        self.push(Node::Tuple(parts))
    }

    fn extend(&mut self, code: u8) -> Reason<()> {
        let items = match code {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let top = *self
            .stack
            .last()
            .ok_or("damaged pickle: nothing to add to")?;
        match &mut self.nodes[top] {
            Node::List(list) if matches!(code, b'a' | b'e') => list.extend(items),
            Node::Dict(dict) if matches!(code, b's' | b'u') => {
                dict.extend(
                    items
                        .as_chunks::<2>()
                        .0
                        .iter()
                        .map(|&[key, value]| (key, value)),
                );
            }
            _ => return Err("damaged pickle: items for what holds none".to_owned()),
        }
        Ok(())
    }

    fn remember(&mut self, code: u8) -> Reason<()> {
        let at = match code {
            0x94 => self.memo.len(),
            b'q' | b'h' => self.word(1)? as usize,
            _ => self.word(4)? as usize,
        };
        if matches!(code, b'h' | b'j') {
            let id = *self.memo.get(&at).ok_or("damaged pickle: unknown memo")?;
            self.stack.push(id);
        } else {
            let id = *self.stack.last().ok_or("damaged pickle: nothing to keep")?;
            self.memo.insert(at, id);
        }
        if self.stack.len() > MAX_NODES {
            return Err("a pickle with too deep a stack".to_owned());
        }
        Ok(())
    }

    fn global(&mut self, code: u8) -> Reason<()> {
        let (module, name) = if code == b'c' {
            (self.line()?, self.line()?)
        } else {
            let name = self.pop()?;
            let module = self.pop()?;
            match (&self.nodes[module], &self.nodes[name]) {
                (Node::Text(module), Node::Text(name)) => (*module, *name),
                _ => return Err("damaged pickle: a name that is no text".to_owned()),
            }
        };
        if ALLOWED.contains(&(module, name)) {
            self.push(Node::Global(module, name))
        } else {
            Err(format!(
                "asks for `{module}.{name}`; a pickle may only hold numpy arrays here"
            ))
        }
    }

    fn line(&mut self) -> Reason<&'a str> {
        let end = self
            .rest
            .iter()
            .take(1024)
            .position(|b| *b == b'\n')
            .ok_or("damaged pickle: a name without end")?;
        let line = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| "a name that is no text".to_owned())
    }

    /// Notes what would be made; nothing is called.
    fn call(&mut self) -> Reason<()> {
        let arguments = self.pop()?;
        let callee = self.pop()?;
        let Node::Global(module, name) = self.nodes[callee] else {
            return Err("damaged pickle: a call of what is no name".to_owned());
        };
        if (module, name) == ("_codecs", "encode") {
            let bytes = self.encoded(arguments)?;
            return self.push(Node::Encoded(bytes));
        }
        self.push(Node::Object {
            class: (module, name),
            arguments,
            state: None,
        })
    }

    /// `_codecs.encode(text, "latin1")`, the way in which protocol 2 stores bytes.
    fn encoded(&self, arguments: Id) -> Reason<Vec<u8>> {
        let text = match &self.nodes[arguments] {
            Node::Tuple(parts) => parts.first().map(|id| &self.nodes[*id]),
            _ => None,
        };
        let Some(Node::Text(text)) = text else {
            return Err("damaged pickle: bytes that are no text".to_owned());
        };
        text.chars()
            .map(|c| u8::try_from(u32::from(c)).map_err(|_| "bytes out of range".to_owned()))
            .collect()
    }

    fn build(&mut self) -> Reason<()> {
        let with = self.pop()?;
        let top = *self
            .stack
            .last()
            .ok_or("damaged pickle: nothing to build")?;
        match &mut self.nodes[top] {
            Node::Object { state, .. } => *state = Some(with),
            _ => return Err("damaged pickle: a state for what has none".to_owned()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_the_system_is_refused_by_name() {
        let evil = b"cos\nsystem\n(X\x04\x00\x00\x00calctR.";
        assert!(Pickle::parse(evil).unwrap_err().contains("os.system"));
        // The same by the stack.
        let evil = b"\x80\x04\x8c\x02os\x8c\x06system\x93.";
        assert!(Pickle::parse(evil).unwrap_err().contains("os.system"));
        for name in ["builtins\neval", "builtins\ngetattr", "torch\nload"] {
            assert!(Pickle::parse(format!("c{name}\n.").as_bytes()).is_err());
        }
    }

    #[test]
    fn nesting_and_wide_integers_end_in_an_error_or_not_at_all() {
        let mut nested = b"\x80\x04)".to_vec();
        nested.extend(std::iter::repeat_n(0x85, 300_000));
        nested.push(b'.');
        assert!(Pickle::parse(&nested).is_ok());
        assert!(Pickle::parse(b"\x8a\xff").is_err());
        assert!(Pickle::parse(b"").is_err());
        assert!(Pickle::parse(b"h\x07.").is_err());
        assert!(Pickle::parse(b"X\xff\xff\xff\xffab").is_err());
    }

    #[test]
    fn integers_are_signed() {
        let bytes = b"\x80\x04}\x8c\x01a\x8a\x01\xfes.";
        let pickle = Pickle::parse(bytes).unwrap();
        let id = pickle.attribute("a").unwrap();
        assert!(matches!(pickle.nodes[id], Node::Int(-2)));
    }
}
