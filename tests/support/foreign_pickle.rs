//! Writes the pickle of 4DNeX: `pickle.dump(Pointmap(...), protocol=4)` with numpy arrays.

/// An object of a class with arrays `(name, shape, f32 values)` as attributes.
pub fn pointmap_pickle(class: (&str, &str), arrays: &[(&str, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let mut out = b"\x80\x04".to_vec();
    global(&mut out, class);
    out.extend(b")\x81}(");
    for (name, shape, values) in arrays {
        text(&mut out, name);
        array(&mut out, shape, values);
    }
    out.extend(b"ub.");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend([0x8c, text.len() as u8]);
    out.extend(text.as_bytes());
    out.push(0x94);
}

fn global(out: &mut Vec<u8>, (module, name): (&str, &str)) {
    text(out, module);
    text(out, name);
    out.extend([0x93, 0x94]);
}

fn int(out: &mut Vec<u8>, value: usize) {
    out.push(b'J');
    out.extend((value as i32).to_le_bytes());
}

/// `_reconstruct(ndarray, (0,), b"b")` with the state `(1, shape, dtype, False, bytes)`.
fn array(out: &mut Vec<u8>, shape: &[usize], values: &[f32]) {
    global(out, ("numpy.core.multiarray", "_reconstruct"));
    global(out, ("numpy", "ndarray"));
    out.extend(b"K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01(");
    shape.iter().for_each(|&d| int(out, d));
    out.extend(b"t\x94");
    global(out, ("numpy", "dtype"));
    text(out, "f4");
    out.extend(b"\x89\x88\x87\x94R\x94(K\x03");
    text(out, "<");
    out.extend(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89B");
    out.extend((values.len() as u32 * 4).to_le_bytes());
    values.iter().for_each(|v| out.extend(v.to_le_bytes()));
    out.extend(b"\x94t\x94b");
}
