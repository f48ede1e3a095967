//! One tensor of a safetensors file. Imports: `arrays::{error, number}`.

use std::collections::BTreeSet;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::error::Fault;
use super::number::{Endian, Number};
use super::{Content, require_room};

/// Reads the tensor `asked`, or the only one, from the bytes of its file.
pub(super) fn read(bytes: &[u8], asked: Option<&str>) -> Result<Content, Fault> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Fault::NotSafetensors(error.to_string()))?;
    let tensor = find(&file, asked)?;
    let number = number(tensor.dtype())
        .ok_or_else(|| Fault::NotNumbers(format!("numbers of type {}", tensor.dtype())))?;
    // The format says that the bytes are as many as the shape takes.
    require_room(tensor.data().len() / number.size())?;
    Ok(Content {
        shape: tensor.shape().to_vec(),
        values: number.values(tensor.data(), Endian::Little),
        ..Content::default()
    })
}

fn find<'data>(file: &SafeTensors<'data>, asked: Option<&str>) -> Result<TensorView<'data>, Fault> {
    let sorted: BTreeSet<&str> = file.names().into_iter().collect();
    let names = || sorted.iter().map(|name| (*name).to_owned()).collect();
    let only = match sorted.first() {
        Some(name) if sorted.len() == 1 => Some(*name),
        _ => None,
    };
    let Some(name) = asked.or(only) else {
        return Err(Fault::SeveralTensors { names: names() });
    };
    file.tensor(name).map_err(|_| Fault::NoTensor {
        asked: name.to_owned(),
        names: names(),
    })
}

fn number(dtype: Dtype) -> Option<Number> {
    Some(match dtype {
        Dtype::BOOL => Number::Bool,
        Dtype::I8 => Number::I8,
        Dtype::I16 => Number::I16,
        Dtype::I32 => Number::I32,
        Dtype::I64 => Number::I64,
        Dtype::U8 => Number::U8,
        Dtype::U16 => Number::U16,
        Dtype::U32 => Number::U32,
        Dtype::U64 => Number::U64,
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tensors: &[(&str, Dtype, &[u8])]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, bytes)| {
            let size = bytes.len() * 8 / dtype.bitsize();
            (*name, TensorView::new(*dtype, vec![size], bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn the_only_tensor_needs_no_name_and_others_one() {
        let one = file(&[("x", Dtype::U16, &[1, 0, 0, 1])]);
        for asked in [None, Some("x")] {
            let found = read(&one, asked).unwrap();
            assert_eq!((found.shape, found.values), (vec![2], vec![1.0, 256.0]));
        }
        let two = file(&[("b", Dtype::I8, &[255]), ("a", Dtype::BOOL, &[1])]);
        assert_eq!(read(&two, Some("b")).unwrap().values, [-1.0]);
        let names = vec!["a".to_owned(), "b".to_owned()];
        let error = read(&two, None).unwrap_err();
        assert_eq!(
            error,
            Fault::SeveralTensors {
                names: names.clone()
            }
        );
        let asked = "c".to_owned();
        let error = read(&two, Some("c")).unwrap_err();
        assert_eq!(error, Fault::NoTensor { asked, names });
    }

    #[test]
    fn damage_and_other_types_are_refused() {
        let whole = file(&[("x", Dtype::F32, &[0; 8])]);
        for cut in 0..whole.len() {
            let error = read(&whole[..cut], None).unwrap_err();
            assert!(matches!(error, Fault::NotSafetensors(_)), "{cut}: {error}");
        }
        let odd = file(&[("x", Dtype::F8_E5M2, &[0; 8])]);
        assert!(matches!(read(&odd, None), Err(Fault::NotNumbers(_))));
    }
}
