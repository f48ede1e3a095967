//! Arrays as files, byte by byte as NumPy, safetensors and spreadsheets write them.

/// A matrix by rows; all rows have the same length.
pub(crate) type Rows = Vec<Vec<f64>>;

/// Which index runs fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The last.
    C,
    /// The first.
    Fortran,
}

/// Returns a `.npy` file with a header that says what it is told to.
pub(crate) fn npy_file(descr: &str, order: Order, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if order == Order::Fortran {
        "True"
    } else {
        "False"
    };
    let mut header =
        format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}").into_bytes();
    // The numbers begin at a multiple of 64 bytes, after blanks and a line break.
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(b' ');
    }
    header.push(b'\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, &header, data].concat()
}

/// Returns a matrix as a `.npy` file of numbers of type `descr`. `bytes` writes them with the least significant
/// byte first; they are turned for a type that begins with `>`.
pub(crate) fn npy<const N: usize>(
    rows: &[Vec<f64>],
    order: Order,
    descr: &str,
    bytes: impl Fn(f64) -> [u8; N],
) -> Vec<u8> {
    let (height, width) = (rows.len(), rows[0].len());
    let big = descr.starts_with('>');
    let at = |i: usize| match order {
        Order::C => rows[i / width][i % width],
        Order::Fortran => rows[i % height][i / height],
    };
    let data = (0..height * width).flat_map(|i| {
        let mut bytes = bytes(at(i));
        if big {
            bytes.reverse();
        }
        bytes
    });
    let data: Vec<u8> = data.collect();
    npy_file(
        &format!("'{descr}'"),
        order,
        &format!("({height}, {width})"),
        &data,
    )
}

/// Returns a matrix as `numpy.save` writes it.
pub(crate) fn npy_f64(rows: &[Vec<f64>]) -> Vec<u8> {
    npy(rows, Order::C, "<f8", f64::to_le_bytes)
}

/// Returns a matrix as lines of fields, after a line of `names` if there are any.
pub(crate) fn csv(names: &[&str], rows: &[Vec<f64>]) -> String {
    let mut text = names.join(",");
    if !names.is_empty() {
        text.push('\n');
    }
    for row in rows {
        let fields: Vec<String> = row.iter().map(ToString::to_string).collect();
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

/// Returns matrices as a safetensors file of f64, by name.
pub(crate) fn safetensors(tensors: &[(&str, &[Vec<f64>])]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut header = serde_json::Map::new();
    for (name, rows) in tensors {
        let start = data.len();
        data.extend(rows.iter().flatten().flat_map(|value| value.to_le_bytes()));
        let tensor = serde_json::json!({
            "dtype": "F64", "shape": [rows.len(), rows[0].len()], "data_offsets": [start, data.len()],
        });
        header.insert((*name).to_owned(), tensor);
    }
    let header = serde_json::Value::from(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &data].concat()
}
