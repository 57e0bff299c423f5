       01  PAYMENT.
           05  PAY-DEBTOR   PIC X(12).
           05  PAY-AMT      PIC S9(11)V99 COMP-3.
