//! What product a module of a LoRA file is, told from names and shapes.
//!
//! LoHa and LoKr as KohakuBlueleaf/LyCORIS (`modules/loha.py`, `modules/lokr.py`) and huggingface/peft
//! write them, with Tucker cores where they have them, DoRA as PEFT (`lora_magnitude_vector`) and LyCORIS (`dora_scale`).

use std::collections::BTreeMap;

use super::names::LoraPart;

/// The tensors of one module in one file, by their part.
pub(super) type Parts = BTreeMap<LoraPart, String>;

/// A product of two matrices of the file, by names.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// `[O, K]`, further axes counting as columns; or its transpose, see `is_turned`.
    pub up: String,
    /// `[K, I]`.
    pub down: String,
    /// A Tucker core `[K, K, S..]` between them, which makes the product `[O, I S]`.
    pub core: Option<String>,
    /// Whether `up` is `[K, O]`, as LoHa and LoKr have it beside a core.
    pub is_turned: bool,
}

/// A matrix of the file: a tensor, or a product of two.
#[derive(Clone, Debug)]
pub(super) enum Factor {
    /// Axes after the first count as columns.
    Whole(String),
    Product(Pair),
}

/// How the change of a module is put together; the strings are names in the file.
#[derive(Clone, Debug)]
pub(super) enum Product {
    /// A LoRA's `B A`.
    LowRank(Pair),
    /// A LoHa's two pairs.
    Hadamard([Pair; 2]),
    /// A LoKr's coarse and fine factor.
    Kronecker { left: Factor, right: Factor },
}

/// A product with the numbers that stand before it.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub product: Product,
    /// What alpha is divided by; `None` where no tensor shows it.
    pub rank: Option<usize>,
    /// The magnitudes of a DoRA: the tensor, and whether they are those of rows.
    pub magnitudes: Option<(String, bool)>,
}

/// A shape as rows and columns: the first axis and all others.
pub(super) fn matrix(shape: &[usize]) -> [usize; 2] {
    match shape {
        [rows, rest @ ..] => [*rows, count(rest)],
        [] => [0, 0],
    }
}

pub(super) fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Reads the recipe of a module.
///
/// `shape_of` knows the file's tensors; `weight` is the shape of the module's weight in the base, and
/// `module` its name for messages.
///
/// # Errors
/// What is wrong with the module, for people.
pub(super) fn recipe(
    module: &str,
    parts: &Parts,
    weight: Option<&[usize]>,
    shape_of: &dyn Fn(&str) -> Vec<usize>,
) -> Result<Option<Recipe>, String> {
    let reader = Reader { parts, shape_of };
    let mut found = reader.products()?.into_iter();
    let (Some(first), other) = (found.next(), found.next()) else {
        let lone = parts.iter().find(|(part, _)| part.needs_product());
        return match lone {
            Some((_, name)) => Err(format!("{name} belongs to no pair")),
            None => Ok(None),
        };
    };
    if let Some(other) = other {
        return Err(format!(
            "{} and {} are of different kinds for one module",
            first.named, other.named
        ));
    }
    let Some(weight) = weight else {
        return Err(format!("{}: the base has no {module}", first.named));
    };
    if matrix(weight) != first.dims || count(weight) == 0 {
        return Err(format!(
            "{} make a change of {:?}, which does not fit {module} {weight:?}",
            first.described, first.dims
        ));
    }
    if let Some(alpha) = parts.get(&LoraPart::Alpha)
        && count(&shape_of(alpha)) != 1
    {
        return Err(format!(
            "{alpha} is {:?}, must be one number",
            shape_of(alpha)
        ));
    }
    Ok(Some(Recipe {
        product: first.product,
        rank: first.rank,
        magnitudes: reader.magnitudes(weight)?,
    }))
}

/// Rows and columns of a module's product, where it has one.
pub(super) fn product_dims(
    parts: &Parts,
    shape_of: &dyn Fn(&str) -> Vec<usize>,
) -> Option<[usize; 2]> {
    let products = Reader { parts, shape_of }.products().ok()?;
    Some(products.first()?.dims)
}

/// A product that was found, before it is compared with the base.
struct Found {
    product: Product,
    rank: Option<usize>,
    dims: [usize; 2],
    /// One of its tensors.
    named: String,
    /// Its tensors with their shapes.
    described: String,
}

struct Reader<'a> {
    parts: &'a Parts,
    shape_of: &'a dyn Fn(&str) -> Vec<usize>,
}

impl Reader<'_> {
    fn get(&self, part: LoraPart) -> Option<&String> {
        self.parts.get(&part)
    }

    fn described(&self, names: &[&String]) -> String {
        let one = |name: &&String| format!("{name} {:?}", (self.shape_of)(name));
        names.iter().map(one).collect::<Vec<_>>().join(" and ")
    }

    fn products(&self) -> Result<Vec<Found>, String> {
        let all = [self.low_rank()?, self.hadamard()?, self.kronecker()?];
        Ok(all.into_iter().flatten().collect())
    }

    /// A pair with rows, rank and columns of its product.
    fn pair(
        &self,
        (up, down): (&String, &String),
        (core, turns): (&'static str, bool),
    ) -> Result<(Pair, [usize; 3]), String> {
        let core = self.get(LoraPart::Factor(core));
        let is_turned = turns && core.is_some();
        let (b, a) = ((self.shape_of)(up), (self.shape_of)(down));
        let ([rows, rank], [other, columns]) = (matrix(&b), matrix(&a));
        let [rows, rank] = if is_turned {
            [rank, rows]
        } else {
            [rows, rank]
        };
        if a.len() < 2 || b.len() < 2 || rank == 0 || rank != other {
            return Err(format!("{} are no pair", self.described(&[down, up])));
        }
        let run = match core.map(|core| (self.shape_of)(core)).as_deref() {
            None => 1,
            Some([first, second, rest @ ..]) if [*first, *second] == [rank; 2] => count(rest),
            Some(_) => {
                let all: Vec<&String> =
                    [Some(down), Some(up), core].into_iter().flatten().collect();
                return Err(format!("{} do not fit together", self.described(&all)));
            }
        };
        let pair = Pair {
            up: up.clone(),
            down: down.clone(),
            core: core.cloned(),
            is_turned,
        };
        Ok((pair, [rows, rank, columns * run]))
    }

    fn low_rank(&self) -> Result<Option<Found>, String> {
        let (up, down) = match (self.get(LoraPart::Up), self.get(LoraPart::Down)) {
            (Some(up), Some(down)) => (up, down),
            (Some(name), None) | (None, Some(name)) => {
                return Err(format!("{name} has no other half"));
            }
            (None, None) => return Ok(None),
        };
        let (pair, [rows, rank, columns]) = self.pair((up, down), ("lora_mid", false))?;
        Ok(Some(Found {
            product: Product::LowRank(pair),
            rank: Some(rank),
            dims: [rows, columns],
            named: down.clone(),
            described: self.described(&[down, up]),
        }))
    }

    fn hadamard(&self) -> Result<Option<Found>, String> {
        let names = ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"];
        let tensors = names.map(|name| self.get(LoraPart::Factor(name)));
        let Some(named) = tensors.iter().flatten().next() else {
            return Ok(None);
        };
        let [Some(up1), Some(down1), Some(up2), Some(down2)] = tensors else {
            let with_tensors = names.into_iter().zip(tensors);
            let lacking =
                with_tensors.filter_map(|(name, tensor)| tensor.is_none().then_some(name));
            let lacking: Vec<&str> = lacking.collect();
            return Err(format!("{named} has no {} with it", lacking.join(", ")));
        };
        let (first_pair, first) = self.pair((up1, down1), ("hada_t1", true))?;
        let (second_pair, second) = self.pair((up2, down2), ("hada_t2", true))?;
        if [first[0], first[2]] != [second[0], second[2]] {
            let all = self.described(&[up1, down1, up2, down2]);
            return Err(format!("{all} make two matrices of different shapes"));
        }
        Ok(Some(Found {
            product: Product::Hadamard([first_pair, second_pair]),
            rank: Some(first[1]),
            dims: [first[0], first[2]],
            named: (*named).clone(),
            described: self.described(&[up1, down1]),
        }))
    }

    fn kronecker(&self) -> Result<Option<Found>, String> {
        const LEFT: [&str; 3] = ["lokr_w1", "lokr_w1_a", "lokr_w1_b"];
        const RIGHT: [&str; 3] = ["lokr_w2", "lokr_w2_a", "lokr_w2_b"];
        let mut any = LEFT.iter().chain(&RIGHT);
        let Some(named) = any.find_map(|name| self.get(LoraPart::Factor(name))) else {
            return Ok(None);
        };
        // The coarse factor has no core; no file has a tensor of this name.
        let (left, left_rank, [o1, i1]) = self.factor(named, LEFT, "lokr_t1")?;
        let (right, right_rank, [o2, i2]) = self.factor(named, RIGHT, "lokr_t2")?;
        Ok(Some(Found {
            product: Product::Kronecker { left, right },
            rank: right_rank.or(left_rank),
            dims: [o1 * o2, i1 * i2],
            named: named.clone(),
            described: format!("factors {:?} and {:?} of {named}", [o1, i1], [o2, i2]),
        }))
    }

    /// A factor of a Kronecker product: its names, its rank unless it is whole, rows and columns.
    fn factor(
        &self,
        named: &str,
        [whole, up, down]: [&'static str; 3],
        core: &'static str,
    ) -> Result<(Factor, Option<usize>, [usize; 2]), String> {
        let get = |name| self.get(LoraPart::Factor(name));
        match (get(whole), get(up), get(down)) {
            (Some(name), None, None) => {
                let shape = (self.shape_of)(name);
                if shape.len() < 2 || count(&shape) == 0 {
                    return Err(format!("{name} {shape:?} is no matrix"));
                }
                Ok((Factor::Whole(name.clone()), None, matrix(&shape)))
            }
            (None, Some(up), Some(down)) => {
                let (pair, [rows, rank, columns]) = self.pair((up, down), (core, true))?;
                Ok((Factor::Product(pair), Some(rank), [rows, columns]))
            }
            _ => Err(format!(
                "{named} needs with it either {whole} or both {up} and {down}"
            )),
        }
    }

    /// The magnitudes and whether they belong to rows.
    fn magnitudes(&self, weight: &[usize]) -> Result<Option<(String, bool)>, String> {
        let rows = matrix(weight)[0];
        let channels = weight.get(1).copied().unwrap_or(0);
        let found = [LoraPart::Magnitude, LoraPart::DoraScale].map(|part| self.get(part));
        let name = match found {
            [None, None] => return Ok(None),
            [Some(one), Some(other)] => {
                return Err(format!("{one} and {other} are the same magnitudes"));
            }
            [Some(name), None] | [None, Some(name)] => name,
        };
        let shape = (self.shape_of)(name);
        let is_first = |len| shape.first() == Some(&len) && count(&shape) == len;
        let of_rows = match found {
            // PEFT has one a row, whatever the shape.
            [Some(_), _] => count(&shape) == rows,
            _ => is_first(rows),
        };
        let of_columns = found[1].is_some()
            && shape.first() == Some(&1)
            && shape.get(1) == Some(&channels)
            && count(&shape) == channels;
        match (of_rows, of_columns) {
            (true, _) => Ok(Some((name.clone(), true))),
            (false, true) => Ok(Some((name.clone(), false))),
            (false, false) => Err(format!(
                "{name} {shape:?} has neither one magnitude for each of {rows} rows nor for each of \
                 {channels} columns"
            )),
        }
    }
}
