"""The commands whose replies redis_test.py compares, byte for byte, with those of a Redis.

A script is a list of lines; each starts with empty databases. Words are split as a shell does; \\x..
escapes stand for bytes.

Not here, because they differ: what tells of the server itself (INFO, CLIENT LIST, COMMAND), pages of
SCAN over many keys, and commands on types other than strings, which are unknown to us.
"""

SCRIPTS = {
    "strings": """
        GET k
        SET k v
        GET k
        SET k v2 NX
        SET k v2 XX
        SET none v XX
        SET k v3 GET
        SET new v GET
        SET k v4 NX GET
        SET k v5 XX GET
        SET k v NX XX
        SET k v XX NX
        SET k v EX
        SET k v EX 10
        TTL k
        SET k v PX 100000
        TTL k
        SET k v EX 10 PX 10
        SET k v EX 10 EX 20
        TTL k
        SET k v KEEPTTL
        TTL k
        SET k v EX 10 KEEPTTL
        SET k v KEEPTTL EX 10
        SET k v EX 0
        SET k v EX -1
        SET k v PX 0
        SET k v EX 1.5
        SET k v EX abc
        SET k v EX 9223372036854775807
        SET k v EX 9223372036854775808
        SET k v PX 9223372036854775807
        SET k v EXAT 0
        SET k v EXAT 1
        GET k
        EXISTS k
        SET k v EXAT 4102444800
        EXPIRETIME k
        PEXPIRETIME k
        SET k v PXAT 4102444800999
        EXPIRETIME k
        PEXPIRETIME k
        SET k v nonsense
        SET k v ex 10 nx
        SET k2 v nx ex 10
        TTL k2
        SET k v PERSIST
        SET k
        SET
        set K v
        gEt K
        GET
        GET a b
        SETNX k v
        SETNX nx v
        SETNX nx w
        SETEX k 10 v
        TTL k
        SETEX k 0 v
        SETEX k abc v
        SETEX k 10
        PSETEX k 100000 v
        PSETEX k -1 v
        GETSET k new
        TTL k
        GETSET fresh new
        GETDEL fresh
        GETDEL fresh
        GETEX k
        GETEX k EX 100
        TTL k
        GETEX k PERSIST
        TTL k
        GETEX k PERSIST EX 1
        GETEX k EX 1 PERSIST
        GETEX k EX 0
        GETEX k KEEPTTL
        GETEX none EX 10
        MSET a 1 b 2 c 3
        MGET a b c none a
        MSET a
        MSET a 1 b
        MSET a 9 a 8
        GET a
        MSETNX a 1 z 2
        GET z
        MSETNX y 1 z 2
        MGET y z
        MSETNX y
        MSETNX y 1 z
        APPEND app hello
        APPEND app " world"
        GET app
        STRLEN app
        STRLEN none
        GETRANGE app 0 4
        GETRANGE app -5 -1
        GETRANGE app 0 -1
        GETRANGE app 5 1
        GETRANGE app -1 -5
        GETRANGE app -100 3
        GETRANGE app 3 100
        GETRANGE app 100 200
        GETRANGE app -100 -50
        GETRANGE none 0 1
        GETRANGE app a b
        GETRANGE app 0
        SUBSTR app 0 4
        SETRANGE app 6 redis
        GET app
        SETRANGE pad 5 x
        GET pad
        SETRANGE none 0 ""
        EXISTS none
        SETRANGE app 0 ""
        SETRANGE app -1 x
        SETRANGE app x x
        SETRANGE app 600000000 x
        SET bin "\\x00\\xff\\r\\n"
        GET bin
        STRLEN bin
        SET "" empty
        GET ""
        SET e ""
        GET e
    """,
    "numbers": """
        INCR n
        INCR n
        INCRBY n 10
        INCRBY n -3
        DECR n
        DECRBY n 5
        GET n
        INCRBY n abc
        INCRBY n 1.5
        INCRBY n
        INCR
        DECRBY n -9223372036854775808
        SET n 9223372036854775807
        INCR n
        DECR n
        INCRBY n 9223372036854775807
        SET n -9223372036854775808
        DECR n
        DECRBY n 1
        SET n abc
        INCR n
        SET n " 1"
        INCR n
        SET n 1.0
        INCR n
        SET n 010
        INCR n
        SET n +1
        INCR n
        SET n ""
        INCR n
        SET n 123456789012345678901234567890
        INCR n
        SET n -0
        INCR n
        INCRBYFLOAT f 10.5
        INCRBYFLOAT f 0.1
        INCRBYFLOAT f -5
        INCRBYFLOAT f 1e3
        INCRBYFLOAT f 5.0e-3
        GET f
        INCRBYFLOAT f abc
        INCRBYFLOAT f ""
        INCRBYFLOAT f nan
        INCRBYFLOAT f inf
        INCRBYFLOAT f -inf
        INCRBYFLOAT f
        SET f 3.0e3
        INCRBYFLOAT f 0
        SET f abc
        INCRBYFLOAT f 1
        SET f 10
        EXPIRE f 100
        INCRBYFLOAT f 1.25
        TTL f
        INCR f
        SET f 1
        INCRBYFLOAT f 0.00000000000000001
        INCRBYFLOAT f 100000000000000000000
    """,
    "keys": """
        DEL none
        SET a 1
        SET b 2
        DEL a b none a
        EXISTS a
        MSET a 1 b 2 c 3
        EXISTS a b c none a
        EXISTS
        TOUCH a none
        UNLINK a none
        DBSIZE
        TYPE b
        TYPE none
        RENAME none x
        RENAME b d
        GET d
        RENAME d d
        RENAMENX d c
        RENAMENX d e
        RENAMENX none e
        RENAMENX e e
        RENAME e
        SET t v
        TTL t
        PTTL t
        TTL none
        PTTL none
        EXPIRETIME t
        EXPIRETIME none
        PEXPIRETIME none
        EXPIRE t 100
        TTL t
        EXPIRE none 100
        EXPIRE t abc
        EXPIRE t 9223372036854775807
        EXPIRE t -9223372036854775808
        PEXPIRE t 9223372036854775807
        EXPIRE t 100 NX
        EXPIRE t 200 XX
        TTL t
        EXPIRE t 100 GT
        EXPIRE t 300 GT
        EXPIRE t 400 LT
        EXPIRE t 200 LT
        TTL t
        EXPIRE t 100 NX XX
        EXPIRE t 100 NX GT
        EXPIRE t 100 GT LT
        EXPIRE t 100 XX GT
        EXPIRE t 1000 XX GT
        TTL t
        EXPIRE t 100 foo
        EXPIRE t
        PERSIST t
        PERSIST t
        PERSIST none
        TTL t
        EXPIRE t 100 GT
        EXPIRE t 100 LT
        PEXPIRE t 100000
        TTL t
        EXPIREAT t 4102444800
        EXPIRETIME t
        PEXPIREAT t 4102444800123
        PEXPIRETIME t
        EXPIRE t -1
        EXISTS t
        SET t v
        EXPIREAT t 1
        EXISTS t
        SET t v
        EXPIRE t 0
        EXISTS t
        SET t v
        EXPIREAT t -9223372037
        EXISTS t
        SET t v
        PEXPIREAT t -9223372036854775808
        EXISTS t
        SET t v
        PEXPIRE t -9223372036854775808
        EXISTS t
        SET src v EX 1000
        RENAME src dst
        TTL dst
        RANDOMKEY x
        FLUSHDB
        RANDOMKEY
        DBSIZE
        KEYS *
        KEYS
        SET key:1 v
        KEYS key:?
        KEYS key:[0-9]
        KEYS key:[^1]
        KEYS nomatch*
        RANDOMKEY
        SCAN 0
        SCAN 0 COUNT 100
        SCAN 0 MATCH k*
        SCAN 0 MATCH x*
        SCAN 0 TYPE string
        SCAN 0 TYPE list
        SCAN 0 COUNT 0
        SCAN 0 COUNT abc
        SCAN 0 COUNT
        SCAN 0 nonsense
        SCAN abc
        SCAN
        FLUSHDB sync
        FLUSHDB async
        FLUSHDB now
        FLUSHALL
        FLUSHALL a b
        WAIT 0 0
        WAIT a 0
        WAIT 0 a
        WAIT 0 -1
    """,
    "connection": """
        PING
        PING hello
        PING a b
        ECHO hello
        ECHO
        ECHO a b
        SELECT 1
        SET a 1
        SELECT 0
        GET a
        SELECT 15
        SELECT 16
        SELECT -1
        SELECT abc
        SELECT
        SELECT 0 1
        AUTH password
        AUTH default password
        AUTH nobody password
        AUTH a b c
        AUTH
        CLIENT
        CLIENT GETNAME
        CLIENT SETNAME me
        CLIENT GETNAME
        CLIENT SETNAME "a b"
        CLIENT SETNAME ""
        CLIENT GETNAME
        CLIENT GETNAME extra
        CLIENT SETNAME
        CLIENT nonsense
        CLIENT nonsense with arguments
        CLIENT NO-EVICT on
        CLIENT NO-EVICT off
        CLIENT NO-EVICT maybe
        CLIENT NO-EVICT
        CLIENT ID extra
        COMMAND nonsense
        COMMAND COUNT extra
        COMMAND INFO none
        COMMAND INFO none none2
        COMMAND DOCS none
        CONFIG
        CONFIG GET
        CONFIG GET none
        CONFIG GET save*x
        CONFIG GET appendonly
        CONFIG nonsense
        HELLO 1
        HELLO 4
        HELLO abc
        HELLO 2 nonsense
        HELLO 2 AUTH a
        HELLO 2 AUTH nobody nothing
        HELLO 2 SETNAME
        HELLO 2 SETNAME "a b"
        RESET
        RESET x
        TIME x
        DBSIZE x
        nonsense
        nonsense with some arguments
        nonsense "an argument that is so long that it will certainly be cut somewhere because nobody wants to read error messages of any length, least of all those who caused them" second
        aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa x
        get|set
        client|id
        ""
    """,
}

# Bytes on a connection of their own: what comes back until it ends, or goes quiet.
STREAMS = [
    b"PING\r\n",
    b"PING\n",
    b"\r\n\r\nPING\r\n",
    b"  PING   \r\n",
    b"SET k 'a b'\r\nGET k\r\n",
    b"SET k \"a\\x41\\n\\t\\\"\"\r\nGET k\r\n",
    b"SET k 'it\\'s'\r\nGET k\r\n",
    b"SET k \"unbalanced\r\nPING\r\n",
    b"SET k 'a'b\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"*0\r\nPING\r\n",
    b"*-1\r\nPING\r\n",
    b"*abc\r\nPING\r\n",
    b"*1x\r\n",
    b"* 1\r\n",
    b"*2147483648\r\n",
    b"*1\r\n+OK\r\n",
    b"*1\r\n:1\r\n",
    b"*1\r\n$abc\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$ 4\r\nPING\r\n",
    b"*1\r\n$600000000\r\n",
    b"*2\r\n$3\r\nGET\r\n",
    b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n*x\r\n",
    b"*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n",
    b"QUIT\r\n",
    b"*1\r\n" + b"$" + b"1" * 70_000,
    b"*" + b"1" * 70_000,
    b"x" * 70_000,
    b"POST / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"*1\r\n$0\r\n\r\n",
]
