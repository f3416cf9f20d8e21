;; Steps over JSON text (RFC 8259) in memory: sixteen bytes of a string at once, the rest byte by byte,
;; which costs less here than in JavaScript. A zero byte stands behind the text: whatever is stepped over ends there.
;;
;; Each function gives up, and returns 0, where it is not sure, and says no more: whoever called looks
;; again, slowly. What it steps over is JSON. $isLine: a line feed is no whitespace.
(module
  ;; The text, and behind 256 KiB what $records has found.
  (memory (export "memory") 5)

  ;; The first place from $at on where text of a string is not plain: a quote, a backslash or a control
  ;; character, of which the zero behind all text is one. Most strings end within the first sixteen bytes;
  ;; of longer ones, sixty-four are looked at in one go.
  (func $textEnd (export "textEnd") (param $at i32) (result i32)
    (local $stops i32)
    (local $a v128)
    (local $b v128)
    (local $c v128)
    (local $d v128)
    (local.set $stops (i8x16.bitmask (call $stopsIn (v128.load align=1 (local.get $at)))))
    (if (local.get $stops)
      (then (return (i32.add (local.get $at) (i32.ctz (local.get $stops))))))
    (local.set $at (i32.sub (local.get $at) (i32.const 48)))
    (loop $again
      (local.set $at (i32.add (local.get $at) (i32.const 64)))
      (local.set $a (call $stopsIn (v128.load align=1 (local.get $at))))
      (local.set $b (call $stopsIn (v128.load offset=16 align=1 (local.get $at))))
      (local.set $c (call $stopsIn (v128.load offset=32 align=1 (local.get $at))))
      (local.set $d (call $stopsIn (v128.load offset=48 align=1 (local.get $at))))
      (br_if $again
        (i32.eqz
          (v128.any_true
            (v128.or
              (v128.or (local.get $a) (local.get $b))
              (v128.or (local.get $c) (local.get $d)))))))
    (i32.add
      (local.get $at)
      (i32.wrap_i64
        (i64.ctz
          (i64.or
            (i64.extend_i32_u
              (i32.or
                (i8x16.bitmask (local.get $a))
                (i32.shl (i8x16.bitmask (local.get $b)) (i32.const 16))))
            (i64.shl
              (i64.extend_i32_u
                (i32.or
                  (i8x16.bitmask (local.get $c))
                  (i32.shl (i8x16.bitmask (local.get $d)) (i32.const 16))))
              (i64.const 32)))))))

  ;; Which of sixteen bytes are not plain. To flip the bit 0x02 puts the quote next to the control
  ;; characters, to flip 0x80 lets signed numbers compare as unsigned ones.
  (func $stopsIn (param $bytes v128) (result v128)
    (v128.or
      (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x5c)))
      (i8x16.lt_s
        (v128.xor (local.get $bytes) (i8x16.splat (i32.const 0x82)))
        (i8x16.splat (i32.const 0xa1)))))

  ;; Steps over objects that have a "value", perhaps a "key" that is a string without escapes and no longer
  ;; than $keyBytes, and nothing else, each with the $separator behind it, a comma or a line feed. Returns how
  ;; many, at most $room. Behind 256 KiB it leaves numbers of four bytes: where the one begins that comes next,
  ;; and of each that it stepped over, where its key begins and ends, 0 if it has none, and likewise its value.
  (func (export "records")
    (param $at i32)
    (param $separator i32)
    (param $room i32)
    (param $keyBytes i32)
    (result i32)
    (local $isLine i32)
    (local $count i32)
    (local $found i32)
    (local $name i64)
    (local.set $isLine (i32.eq (local.get $separator) (i32.const 0x0a)))
    (local.set $found (i32.const 0x40004))
    (block $stop
      (loop $record
        (i32.store (i32.const 0x40000) (local.get $at))
        (br_if $stop (i32.eq (local.get $count) (local.get $room)))
        (local.set $at (call $blankEnd (local.get $at) (local.get $isLine)))
        (br_if $stop (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x7b))) ;; {
        (v128.store align=4 (local.get $found) (v128.const i64x2 0 0))

        (loop $member
          (local.set $at
            (call $blankEnd (i32.add (local.get $at) (i32.const 1)) (local.get $isLine)))
          (local.set $name (i64.load align=1 (local.get $at)))
          (if (i64.eq (local.get $name) (i64.const 0x3a2265756c617622)) ;; "value":
            (then
              (br_if $stop (i32.load offset=8 (local.get $found)))
              (local.set $at
                (call $blankEnd (i32.add (local.get $at) (i32.const 8)) (local.get $isLine)))
              (i32.store offset=8 (local.get $found) (local.get $at))
              (local.set $at (call $valueEnd (local.get $at) (local.get $isLine)))
              (br_if $stop (i32.eqz (local.get $at)))
              (i32.store offset=12 (local.get $found) (local.get $at)))
            (else
              (br_if $stop
                (i64.ne
                  (i64.shl (local.get $name) (i64.const 16))
                  (i64.const 0x3a2279656b220000))) ;; "key":
              (br_if $stop (i32.load (local.get $found)))
              (local.set $at
                (call $blankEnd (i32.add (local.get $at) (i32.const 6)) (local.get $isLine)))
              (br_if $stop (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x22)))
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (i32.store (local.get $found) (local.get $at))
              (local.set $at (call $textEnd (local.get $at)))
              (br_if $stop (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x22)))
              (br_if $stop
                (i32.gt_u
                  (i32.sub (local.get $at) (i32.load (local.get $found)))
                  (local.get $keyBytes)))
              (i32.store offset=4 (local.get $found) (local.get $at))
              (local.set $at (i32.add (local.get $at) (i32.const 1)))))
          (local.set $at (call $blankEnd (local.get $at) (local.get $isLine)))
          (br_if $member (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x2c)))) ;; ,

        (br_if $stop (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x7d))) ;; }
        (br_if $stop (i32.eqz (i32.load offset=8 (local.get $found))))
        (local.set $at
          (call $blankEnd (i32.add (local.get $at) (i32.const 1)) (local.get $isLine)))
        (br_if $stop (i32.ne (i32.load8_u (local.get $at)) (local.get $separator)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $found (i32.add (local.get $found) (i32.const 16)))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br $record)))
    (local.get $count))

  ;; Behind the value at $at, and whitespace before it. Not sure of what is nested deeper than 64 levels.
  (func $valueEnd (export "valueEnd") (param $at i32) (param $isLine i32) (result i32)
    (local $byte i32)
    (local $depth i32)
    ;; A bit for each open bracket, the innermost lowest: 1 for an object.
    (local $objects i64)
    (loop $value
      (local.set $at (call $blankEnd (local.get $at) (local.get $isLine)))
      (local.set $byte (i32.load8_u (local.get $at)))
      (if (i32.eq (local.get $byte) (i32.const 0x22)) ;; "
        (then (local.set $at (call $stringEnd (local.get $at))))
        (else
          (if (i32.eq (i32.or (local.get $byte) (i32.const 0x20)) (i32.const 0x7b)) ;; [ {
            (then
              (if (i32.eq (local.get $depth) (i32.const 64)) (then (return (i32.const 0))))
              (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
              (local.set $objects
                (i64.or
                  (i64.shl (local.get $objects) (i64.const 1))
                  (i64.extend_i32_u (i32.eq (local.get $byte) (i32.const 0x7b)))))
              (local.set $at
                (call $blankEnd
                  (i32.add (local.get $at) (i32.const 1))
                  (local.get $isLine)))
              ;; A closing bracket is its opening one plus two; it is stepped over below.
              (if
                (i32.ne
                  (i32.load8_u (local.get $at))
                  (i32.add (local.get $byte) (i32.const 2)))
                (then
                  (br_if $value (i64.eqz (i64.and (local.get $objects) (i64.const 1))))
                  (br_if $value
                    (local.tee $at (call $nameEnd (local.get $at) (local.get $isLine))))
                  (return (i32.const 0)))))
            (else
              (local.set $at (call $scalarEnd (local.get $at) (local.get $byte)))))))
      (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))

      (loop $behind
        (if (i32.eqz (local.get $depth)) (then (return (local.get $at))))
        (local.set $at (call $blankEnd (local.get $at) (local.get $isLine)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (if (i32.eq (local.get $byte) (i32.const 0x2c)) ;; ,
          (then
            (br_if $value (i64.eqz (i64.and (local.get $objects) (i64.const 1))))
            (local.set $at (call $blankEnd (local.get $at) (local.get $isLine)))
            (br_if $value
              (local.tee $at (call $nameEnd (local.get $at) (local.get $isLine))))
            (return (i32.const 0))))
        (if
          (i32.ne
            (local.get $byte)
            (select
              (i32.const 0x7d) ;; }
              (i32.const 0x5d) ;; ]
              (i32.wrap_i64 (i64.and (local.get $objects) (i64.const 1)))))
          (then (return (i32.const 0))))
        (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
        (local.set $objects (i64.shr_u (local.get $objects) (i64.const 1)))
        (br $behind)))
    (unreachable))

  ;; Behind the whitespace at $at, of which there is none most of the time.
  (func $blankEnd (param $at i32) (param $isLine i32) (result i32)
    (if (i32.gt_u (i32.load8_u (local.get $at)) (i32.const 0x20))
      (then (return (local.get $at))))
    (call $blanksEnd (local.get $at) (local.get $isLine)))

  (func $blanksEnd (param $at i32) (param $isLine i32) (result i32)
    (local $byte i32)
    (loop $again
      (local.set $byte (i32.load8_u (local.get $at)))
      (if (i32.gt_u (local.get $byte) (i32.const 0x20)) (then (return (local.get $at))))
      (if
        (i32.or
          (i32.or
            (i32.eq (local.get $byte) (i32.const 0x20))
            (i32.eq (local.get $byte) (i32.const 0x09)))
          (i32.or
            (i32.eq (local.get $byte) (i32.const 0x0d))
            (i32.and
              (i32.eq (local.get $byte) (i32.const 0x0a))
              (i32.eqz (local.get $isLine)))))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $again))))
    (local.get $at))

  ;; Behind the name at $at and its colon.
  (func $nameEnd (param $at i32) (param $isLine i32) (result i32)
    (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x22)) (then (return (i32.const 0))))
    (if (i32.eqz (local.tee $at (call $stringEnd (local.get $at))))
      (then (return (i32.const 0))))
    (local.set $at (call $blankEnd (local.get $at) (local.get $isLine)))
    (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x3a)) (then (return (i32.const 0))))
    (i32.add (local.get $at) (i32.const 1)))

  ;; Behind the string whose first quote is at $at.
  (func $stringEnd (param $at i32) (result i32)
    (local $byte i32)
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (loop $again
      (local.set $at (call $textEnd (local.get $at)))
      (local.set $byte (i32.load8_u (local.get $at)))
      (if (i32.eq (local.get $byte) (i32.const 0x22))
        (then (return (i32.add (local.get $at) (i32.const 1)))))
      (if (i32.ne (local.get $byte) (i32.const 0x5c)) (then (return (i32.const 0))))
      (br_if $again (local.tee $at (call $escapeEnd (i32.add (local.get $at) (i32.const 1))))))
    (i32.const 0))

  ;; Behind the escape sequence whose letter is at $at.
  (func $escapeEnd (param $at i32) (result i32)
    (local $byte i32)
    (local $end i32)
    (local.set $byte (i32.load8_u (local.get $at)))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (if (i32.ne (local.get $byte) (i32.const 0x75)) ;; u
      (then
        (return
          (select
            (local.get $at)
            (i32.const 0)
            (call $isShortEscape (local.get $byte))))))
    (local.set $end (i32.add (local.get $at) (i32.const 4)))
    (loop $again
      (local.set $byte (i32.load8_u (local.get $at)))
      (if
        (i32.and
          (i32.gt_u (i32.sub (local.get $byte) (i32.const 0x30)) (i32.const 9)) ;; 0 to 9
          (i32.gt_u
            (i32.sub (i32.or (local.get $byte) (i32.const 0x20)) (i32.const 0x61)) ;; a to f
            (i32.const 5)))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $at) (local.get $end))))
    (local.get $at))

  ;; One of " \ / b f n r t
  (func $isShortEscape (param $byte i32) (result i32)
    (i32.or
      (i32.or
        (i32.or
          (i32.eq (local.get $byte) (i32.const 0x22))
          (i32.eq (local.get $byte) (i32.const 0x5c)))
        (i32.or
          (i32.eq (local.get $byte) (i32.const 0x2f))
          (i32.eq (local.get $byte) (i32.const 0x62))))
      (i32.or
        (i32.or
          (i32.eq (local.get $byte) (i32.const 0x66))
          (i32.eq (local.get $byte) (i32.const 0x6e)))
        (i32.or
          (i32.eq (local.get $byte) (i32.const 0x72))
          (i32.eq (local.get $byte) (i32.const 0x74))))))

  ;; Behind the number or literal at $at, which begins with $byte.
  (func $scalarEnd (param $at i32) (param $byte i32) (result i32)
    (local $four i32)
    (local.set $four (i32.load align=1 (local.get $at)))
    (if (i32.eq (local.get $four) (i32.const 0x65757274)) ;; true
      (then (return (i32.add (local.get $at) (i32.const 4)))))
    (if (i32.eq (local.get $four) (i32.const 0x6c6c756e)) ;; null
      (then (return (i32.add (local.get $at) (i32.const 4)))))
    (if (i32.eq (local.get $four) (i32.const 0x736c6166)) ;; fals
      (then
        (if (i32.eq (i32.load8_u offset=4 (local.get $at)) (i32.const 0x65)) ;; e
          (then (return (i32.add (local.get $at) (i32.const 5)))))))
    (call $numberEnd (local.get $at) (local.get $byte)))

  ;; Not sure where there is an exponent.
  (func $numberEnd (param $at i32) (param $byte i32) (result i32)
    (if (i32.eq (local.get $byte) (i32.const 0x2d)) ;; -
      (then
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $byte (i32.load8_u (local.get $at)))))
    (local.set $at
      (if (result i32) (i32.eq (local.get $byte) (i32.const 0x30)) ;; 0
        (then (i32.add (local.get $at) (i32.const 1)))
        (else (call $digitsEnd (local.get $at)))))
    (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x2e)) ;; .
      (then
        (local.set $at (call $digitsEnd (i32.add (local.get $at) (i32.const 1))))
        (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))))
    (select
      (i32.const 0)
      (local.get $at)
      (i32.eq
        (i32.or (i32.load8_u (local.get $at)) (i32.const 0x20))
        (i32.const 0x65)))) ;; e

  ;; Behind the digits at $at; not sure if there is none.
  (func $digitsEnd (param $at i32) (result i32)
    (local $first i32)
    (local.set $first (local.get $at))
    (loop $again
      (if
        (i32.le_u
          (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30))
          (i32.const 9))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $again))))
    (select (local.get $at) (i32.const 0) (i32.ne (local.get $at) (local.get $first))))
)
