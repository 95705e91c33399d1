//! Values of every type that Zeek has.

/// Sends one value of each type, and compares what comes back with `==`.
pub(super) const SCRIPT: &str = r#"
type R: record { a: count; b: string &optional; c: set[addr] &optional; };
type E: enum { ONE, TWO };
global matrix: event(b: bool, i: int, c: count, d: double, t: time, iv: interval, s: string,
    p: port, a4: addr, a6: addr, n4: subnet, n6: subnet, e: E, ss: set[string],
    st: set[count, string], ta: table[string] of count, v: vector of double, r: R,
    vv: vector of vector of count) &is_used;
global back: event(b: bool, i: int, c: count, d: double, t: time, iv: interval, s: string,
    p: port, a4: addr, a6: addr, n4: subnet, n6: subnet, e: E, ss: set[string],
    st: set[count, string], ta: table[string] of count, v: vector of double, r: R,
    vv: vector of vector of count) &is_used;
global r0 = R($a=1);
global far = double_to_time(4102444800.25);
event tick() {
    Cluster::publish("/test/matrix", matrix, T, -5, 18446744073709551615, -0.5, far, -90sec,
        "gr\xc3\xbc\x00\xff", 22/tcp, 10.0.0.7, [2001:db8::1], 10.0.0.0/8, [2001:db8::]/32, TWO,
        set("a", "b,c"), set([1, "x"]), table(["k"] = 1), vector(1.5, 0.0), r0,
        vector(vector(1, 2), vector()));
    schedule 200msec { tick() };
}
event zeek_init() { schedule 1sec { tick() }; }
event back(b: bool, i: int, c: count, d: double, t: time, iv: interval, s: string,
    p: port, a4: addr, a6: addr, n4: subnet, n6: subnet, e: E, ss: set[string],
    st: set[count, string], ta: table[string] of count, v: vector of double, r: R,
    vv: vector of vector of count) {
    local same = b && i == -5 && c == 18446744073709551615 && d == -0.5 && t == far && iv == -90sec
        && s == "gr\xc3\xbc\x00\xff" && p == 22/tcp && a4 == 10.0.0.7 && a6 == [2001:db8::1]
        && n4 == 10.0.0.0/8 && n6 == [2001:db8::]/32 && e == TWO && |ss| == 2 && "b,c" in ss
        && [1, "x"] in st && ta["k"] == 1 && |v| == 2 && v[0] == 1.5 && r$a == 1 && ! r?$b && ! r?$c
        && |vv| == 2 && vv[0][1] == 2 && |vv[1]| == 0;
    print fmt("same %s", same);
}
"#;
