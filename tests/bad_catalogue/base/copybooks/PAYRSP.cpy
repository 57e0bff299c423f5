       01  RESPONSE.
           05  RSP-STATUS   PIC X(1).
