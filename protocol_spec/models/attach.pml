/*
 * The attach, as a model for Spin 6.5: one session, several connections, two directions.
 *
 * What is modelled: OPEN and RESUME over a row of connections, of which older ones may still hold
 * packets under way in either direction; attempts, the fence, authentication that takes time, the
 * rotation of the resume secret, two counts per direction, numbers implied by order, replay, windows,
 * acknowledgements, sessions that end. README.md lists what is left out, and why that is sound.
 *
 * Every rule names its clause of SPEC.md in square brackets. Every `#if` on the name of a wrong
 * variant breaks one rule, in the model only; each of them must make the search fail.
 *
 * Sizes (all by -D):
 *   CONNECTIONS  how many connections the client may make; all but the last may be cut at any point
 *   UP, DOWN     messages from the client to the server and back, in each session
 *   WINDOW       messages numbered and not yet delivered, each direction  [WIN-1]
 *   ROOM         packets that one direction of a connection holds under way; a full one blocks its writer
 *   ENDS         how often the server may forget the session (restart without a store, expiry)
 *   LATE_ANSWERS 1: the client still reads answers on connections it has left  [ATT-8]
 *   HEARTBEAT    1: the server pings, without bound, and counts travel in PING and PONG  [LIV-3]
 *   FORGETS_INBOX 1: at an attach a receiver forgets what is not delivered, and states so; it is allowed to
 *   LIVENESS     1: faults may stop, and the formula `converges` is claimed
 *   WATCH        which invariants are asserted (a sum of the bits below); all of them unless told
 */

#ifndef CONNECTIONS
#define CONNECTIONS 3
#endif
#ifndef UP
#define UP 1
#endif
#ifndef DOWN
#define DOWN 1
#endif
#ifndef WINDOW
#define WINDOW 1
#endif
#if UP > 15 || DOWN > 15 || CONNECTIONS > 15
#error a payload and a secret have four bits for each
#endif
#ifndef ROOM
#define ROOM 3
#endif
#ifndef ENDS
#define ENDS 0
#endif
#ifndef LATE_ANSWERS
#define LATE_ANSWERS 1
#endif

/* ------------------------------------------------------------------ invariants
 *
 * The unused bits exist for their names: pan prints the text of the assertion that failed, and the
 * runner reads the name from it. Hidden variables are no part of the state.
 */
hidden byte EXACTLY_ONCE_IN_ORDER; /* I1: what the application took is a prefix of what was accepted     */
hidden byte TRIMMED_UNDELIVERED;   /* I2: nothing leaves a replay buffer before it is delivered           */
hidden byte DISHONEST_ACK;         /* I3: delivered <= truly delivered, and it never falls                */
hidden byte INBOX_OVERFLOW;        /* I4: an inbox holds no more than the window                          */
hidden byte TWO_LIVE_CONNECTIONS;  /* I5: only the newest attached connection has effects                 */
hidden byte NUMBER_REUSED;         /* I7: both ends give one number to one payload                        */
hidden byte LOCKED_OUT;            /* SEC: the client's secret is confirmed or pending while both live    */
hidden byte DRIFT;                 /* ATT-11, ACK-4, CNT-5: no honest peer is ever answered RESET(drift)  */
hidden byte TAKEN_OVER;            /* ATT-9: a client without a double is never told of one               */
hidden byte STUCK;                 /* when nothing can move any more, everything has arrived              */

#define I1      1
#define I2      2
#define I3      4
#define I4      8
#define I5     16
#define I7     32
#define SECRET 64
#define NODRIFT 128
#define OWNER  256
#define ENDING 512
#ifndef WATCH
#define WATCH 1023
#endif
#define CHECK(bit, cond, name) assert(!(WATCH & bit) || (cond) || name)

/* With -DWITNESS the search prints each of these once: proof that the run was not vacuous. */
#ifdef WITNESS
c_decl {
  static void witness(int number, const char *text)
  { static char seen[32];
    if (!seen[number]) { seen[number] = 1; printf("witness %d: %s\n", number, text); }
  }
}
#define REACHED(number, text) c_code { witness(number, text); }
#else
#define REACHED(number, text) skip
#endif

/* ------------------------------------------------------------------ state */

#define CLIENT 0
#define SERVER 1
#define OTHER(side) (1 - (side))
#define NAME(side) (67 + 16 * (side))   /* C or S, for printf */
#define NONE 255
#define LAST (CONNECTIONS - 1)

mtype = { OPEN, OPENED, RESUME, RESUMED, RESET, MESSAGE, ACK, PING, PONG, CLOSE };

/*
 * wire(side, c) holds what `side` has written to connection c and the other end has not yet read.
 * Fields: kind; first (attempt, or the payload of a MESSAGE); secret; the counts received, delivered, sent.
 * MESSAGE has no number: `first` is the payload, by which the observers know it  [CNT-1].
 */
chan link[2 * CONNECTIONS] = [ROOM] of { mtype, byte, byte, byte, byte, byte };
#define wire(side, c) link[(side) * CONNECTIONS + (c)]

/* One direction is named by its writer. A payload is its place in the order of acceptance, tagged by session. */
byte numbered[2];    /* writer: the highest number given away                       [NUM-1] */
byte trimmed[2];     /* writer: up to here the peer has delivered; the replay buffer holds what is above [CNT-3] */
byte wired[2];       /* writer: the last number put on the live connection          [CNT-1] */
byte received[2];    /* reader, of what the OTHER side writes: taken into the inbox [CNT-2] */
byte delivered[2];   /* reader: taken by the application                            [CNT-3] */
byte told[2];        /* reader: the delivered count last stated to the peer         [ACK-2] */
byte application[2]; /* observer: the last payload that the application of this side has seen */
chan inbox[2] = [WINDOW + 1] of { byte };

#define amount(side) (UP * OTHER(side) + DOWN * (side))

byte at[2];          /* the connection a side holds to be the live one of its session */
byte session[2];     /* a session is named by the connection that opened it */
#define payload(side, number) (session[side] * 16 + (number))

/* The client. */
#define WAITING 0    /* OPEN or RESUME has left, its answer is out                  [ATT-2] */
#define LIVE 1
#define OVER 2       /* never attaches this session again */
byte c_phase;
#define c_connection at[CLIENT]   /* the newest; older ones are fenced on this side too  [ATT-15] */
#define c_session session[CLIENT]
byte c_attempt;              /* [ATT-4] */
byte c_secret = NONE;        /* secrets are named by session and attempt; so every one is fresh [SEC-1] */

/* The server. */
#define NEW 0        /* unattached                                                  [ATT-1] */
#define VERIFIED 1   /* the secret was good; authentication is under way            [ATT-5] */
#define ATTACHED 2
#define CLOSED 3     /* nothing is sent or processed any more                       [CLS-3] */
byte stage[CONNECTIONS];
#if COUNTS_BEFORE_AUTHENTICATION
byte noted[CONNECTIONS];     /* the server's received count when the secret was verified */
#endif
#define s_session session[SERVER]
#define s_connection at[SERVER]   /* the one attached connection */
byte s_attempt;              /* the highest attempt attached = the generation */
byte s_confirmed = NONE;     /* [SEC-2] */
byte s_pending = NONE;       /* [SEC-2] */

#define secret_of(session, attempt) ((session) * 16 + (attempt))
#define known(secret) ((secret) == s_confirmed || (secret) == s_pending)
#define not_locked_out (c_session == NONE || c_session != s_session || known(c_secret))

#if ENDS
byte ends;
#endif
#if HEARTBEAT
bool pinged;                 /* one PING is out */
#endif
#if LIVENESS
bool quiet;                  /* no more faults */
#define faults !quiet
#else
#define faults true
#endif

/* Scratch of one atomic step: never read by another. */
hidden byte kind_, first_, secret_, r_, d_, s_, i_;

/* ------------------------------------------------------------------ links */

/* Whether the reader of what `side` writes to c is gone: then packets vanish, and the writer cannot know.
 * A client that has left a connection ignores whatever arrives on it [ATT-15], so these packets are not kept;
 * with LATE_ANSWERS the answers are, to show that an older attempt alone gives them away [ATT-8]. */
#define unread(side, c) (((side) == CLIENT && stage[c] == CLOSED) || ((side) == SERVER && (c) != c_connection))

#if NO_CLIENT_FENCE
#define kept_late(what) true
#elif LATE_ANSWERS
#define kept_late(what) ((what) == RESUMED || (what) == CLOSE)
#else
#define kept_late(what) false
#endif

#define has_room(side, c) (unread(side, c) || len(wire(side, c)) < ROOM)

inline transmit(t_side, t_c, t_kind, t_first, t_secret, t_r, t_d, t_s) {
  if
  :: unread(t_side, t_c) && !((t_side) == SERVER && kept_late(t_kind)) -> skip
  :: else -> wire(t_side, t_c)!t_kind, t_first, t_secret, t_r, t_d, t_s
  fi
}

inline drain(x_side, x_c) {
  do
  :: len(wire(x_side, x_c)) > 0 -> wire(x_side, x_c)?_, _, _, _, _, _
  :: else -> break
  od
}

/* What was under way to a client that has left c: of it, only what is kept late stays, in its order. */
inline leave_behind(b_c) {
  i_ = len(wire(SERVER, b_c));
  do
  :: i_ > 0 ->
     wire(SERVER, b_c)?kind_, first_, secret_, r_, d_, s_;
     if
     :: kept_late(kind_) -> wire(SERVER, b_c)!kind_, first_, secret_, r_, d_, s_
     :: else -> skip
     fi;
     i_--
  :: else -> break
  od;
  i_ = 0
}

inline empty_inbox(e_side) {
  do
  :: len(inbox[e_side]) > 0 -> inbox[e_side]?_
  :: else -> break
  od
}

/* ------------------------------------------------------------------ counts
 *
 * `stated` counts are [received, delivered, sent]. A receiver with one count only, or one that acknowledges
 * what it has merely received, states something else.
 */
#if ONE_COUNT
#define stated_received(side) delivered[side]
#else
#define stated_received(side) received[side]
#endif
#if ACK_BEFORE_DELIVERED
#define stated_delivered(side) received[side]
#else
#define stated_delivered(side) delivered[side]
#endif
#if ACK_STATES_NUMBERED
#define stated_sent(side) numbered[side]
#else
#define stated_sent(side) wired[side]   /* [CNT-5]: what this connection has carried so far */
#endif

/* RESET(drift) ends the session on both sides; it is told, so what follows is no silent loss. [ATT-11, RST-6] */
inline drift() {
  printf("C and S: RESET(drift)\n");
  CHECK(NODRIFT, false, DRIFT);
  c_phase = OVER;
  s_session = NONE; s_connection = NONE;
  i_ = 0;
  do
  :: i_ < CONNECTIONS -> stage[i_] = CLOSED; drain(CLIENT, i_); drain(SERVER, i_); i_++
  :: else -> break
  od
}

/* Trim by what the peer has delivered, and by nothing else. [CNT-3, CNT-6] */
inline trim(q_side, q_d) {
  CHECK(I3, c_session != s_session || q_d <= delivered[OTHER(q_side)], DISHONEST_ACK);
  if
  :: q_d > trimmed[q_side] -> trimmed[q_side] = q_d
  :: else -> skip
  fi;
  CHECK(I2, c_session != s_session || trimmed[q_side] <= application[OTHER(q_side)], TRIMMED_UNDELIVERED)
}

/* Counts in ACK, PING and PONG on a live connection: order makes all three comparable. [ACK-4, CNT-5] */
inline take_counts(k_side, k_r, k_d, k_s) {
  if
#if !AMBIGUOUS_RESUME_POSITION
  :: k_d > k_r || k_r > wired[k_side] || k_s != received[k_side] -> drift()
#endif
  :: else ->
     CHECK(I3, k_d >= trimmed[k_side], DISHONEST_ACK);
     trim(k_side, k_d)
  fi
}

/* Counts at an attach are exact; then the side sends from where the other stands. [ATT-11, ATT-12] */
inline take_attach_counts(a_side, a_r, a_d, a_s) {
#if AMBIGUOUS_RESUME_POSITION
  /* The peer announced "the next number I will send", meant the next new one, and replays what it has
   * buffered. The receiver believes the announcement and drops anything lower. */
  wired[a_side] = trimmed[a_side];
  received[a_side] = a_s
#else
  if
  :: a_r < trimmed[a_side] || a_r > numbered[a_side] || a_d < trimmed[a_side] || a_d > a_r ||
     a_s < received[a_side] -> drift()
  :: else ->
     trim(a_side, a_d);
#if REPLAY_FROM_TRIMMED
     wired[a_side] = trimmed[a_side]
#else
     wired[a_side] = a_r
#endif
  fi
#endif
}

/* MESSAGE on the live connection: its number is received + 1, by order alone. [CNT-1, CNT-4] */
inline take_message(m_side, m_what) {
#if AMBIGUOUS_RESUME_POSITION
  if
  :: (m_what & 15) <= received[m_side] -> skip   /* "lower than announced": dropped */
  :: else -> received[m_side] = (m_what & 15); inbox[m_side]!m_what
  fi
#else
  received[m_side]++;
  printf("%c: takes MESSAGE %d as number %d\n", NAME(m_side), m_what & 15, received[m_side]);
  CHECK(I7, (m_what & 15) == received[m_side], NUMBER_REUSED);
  CHECK(I4, len(inbox[m_side]) < WINDOW, INBOX_OVERFLOW);
  if
  :: len(inbox[m_side]) <= WINDOW -> inbox[m_side]!m_what
  :: else -> skip
  fi
#endif
}

/* A receiver may forget what its application has not taken, if it then says so: replay brings it again. */
inline detached_inbox(i_side) {
#if FORGETS_INBOX
  empty_inbox(i_side);
  received[i_side] = delivered[i_side]
#elif ONE_COUNT
  received[i_side] = delivered[i_side]          /* the inbox stays: its messages will come a second time */
#else
  skip
#endif
}

/* A new session starts both directions from nothing. */
inline reset_counts(n_side) {
  empty_inbox(n_side);
  numbered[n_side] = 0; trimmed[n_side] = 0; wired[n_side] = 0;
  received[n_side] = 0; delivered[n_side] = 0; told[n_side] = 0; application[n_side] = 0
}

/* ------------------------------------------------------------------ both sides: messages and acknowledgements */

#define live(side) (((side) == CLIENT && c_phase == LIVE) || ((side) == SERVER && s_connection != NONE))

/* Replay first, then new messages; a message gets its number when the window admits it. [ATT-12, NUM-1, WIN-1] */
proctype Sends(bit side) {
end:
  do
  :: d_step { live(side) && wired[side] < numbered[side] && has_room(side, at[side]) ->
       REACHED(1, "a message is replayed");
       wired[side]++;
       printf("%c replays message %d on %d\n", NAME(side), wired[side], at[side]);
       transmit(side, at[side], MESSAGE, payload(side, wired[side]), 0, 0, 0, 0)
     }
  :: d_step { live(side) && wired[side] == numbered[side] && numbered[side] < amount(side) &&
              numbered[side] - trimmed[side] < WINDOW && has_room(side, at[side]) ->
       numbered[side]++; wired[side]++;
       printf("%c sends message %d on %d\n", NAME(side), wired[side], at[side]);
       transmit(side, at[side], MESSAGE, payload(side, wired[side]), 0, 0, 0, 0)
     }
  od
}

/* The application takes messages in its own time, attached or not. [CNT-3, PRT-4] */
proctype Takes(bit side) {
end:
  do
  :: d_step { len(inbox[side]) > 0 ->
       inbox[side]?first_;
       printf("%c: application takes message %d\n", NAME(side), first_ & 15);
       CHECK(I1, (first_ & 15) == application[side] + 1 && (first_ >> 4) == session[side], EXACTLY_ONCE_IN_ORDER);
       application[side] = first_ & 15;
       delivered[side]++
     }
  od
}

/* ACK leaves some time after a delivery; how many deliveries it covers is left open. [ACK-1, ACK-2] */
#if NO_ACK_TIMER
#define due(side) (delivered[side] - told[side] >= 2)   /* only the count of deliveries sends it */
#else
#define due(side) (delivered[side] > told[side])
#endif
#if ACK_BEFORE_DELIVERED
#undef due
#define due(side) (received[side] > told[side])
#endif

proctype Acknowledges(bit side) {
end:
  do
  :: d_step { live(side) && due(side) && has_room(side, at[side]) ->
       told[side] = stated_delivered(side);
       printf("%c: ACK %d %d %d on %d\n", NAME(side),
              stated_received(side), stated_delivered(side), stated_sent(side), at[side]);
       transmit(side, at[side], ACK, 0, 0, stated_received(side), stated_delivered(side), stated_sent(side))
     }
#if HEARTBEAT
  :: d_step { side == SERVER && live(side) && !pinged && has_room(side, at[side]) ->   /* [LIV-1, ACK-3] */
       pinged = true;
       told[side] = stated_delivered(side);
       transmit(side, at[side], PING, 0, 0, stated_received(side), stated_delivered(side), stated_sent(side))
     }
#endif
  od
}

/* ------------------------------------------------------------------ the client */

/* Leave the present connection, open the next one and attach on it. [ATT-4, ATT-15] */
inline client_attaches() {
  leave_behind(c_connection);
  c_connection++;
  c_phase = WAITING;
  if
  :: c_session == NONE ->
     wire(CLIENT, c_connection)!OPEN, 0, 0, 0, 0, 0
  :: else ->
     c_attempt++;
     detached_inbox(CLIENT);
     printf("C: RESUME %d secret %d counts %d %d %d on %d\n", c_attempt, c_secret,
            stated_received(CLIENT), stated_delivered(CLIENT), numbered[CLIENT], c_connection);
     wire(CLIENT, c_connection)!RESUME, c_attempt, c_secret,
            stated_received(CLIENT), stated_delivered(CLIENT), numbered[CLIENT]
  fi
}

/* A connection may be given up at any moment, for any reason: it is never sure what still arrives of it. */
proctype Moves() {
end:
  do
  :: d_step { c_phase != OVER && c_connection < LAST && (faults || stage[c_connection] == CLOSED) ->
       client_attaches()
     }
  od
}

proctype ClientReads() {
end:
  do
  :: d_step { len(wire(SERVER, c_connection)) > 0 && has_room(CLIENT, c_connection) ->
       wire(SERVER, c_connection)?kind_, first_, secret_, r_, d_, s_;
       if
       :: kind_ == OPENED && c_phase == WAITING ->
          c_session = first_; c_attempt = 0; c_secret = secret_;
          c_phase = LIVE;
          wire(CLIENT, c_connection)!ACK, 0, 0, 0, 0, 0                    /* [ATT-3] */
       :: kind_ == RESUMED && c_phase == WAITING ->
          if
          :: first_ != c_attempt -> skip                                     /* [ATT-8] */
          :: else ->
             c_secret = secret_;
             c_phase = LIVE;
             printf("C: RESUMED %d secret %d counts %d %d %d on %d\n", first_, secret_, r_, d_, s_, c_connection);
             CHECK(SECRET, not_locked_out, LOCKED_OUT);
             take_attach_counts(CLIENT, r_, d_, s_);
             told[CLIENT] = stated_delivered(CLIENT);
             printf("C: first ACK %d %d %d on %d\n",
                    stated_received(CLIENT), stated_delivered(CLIENT), stated_sent(CLIENT), c_connection);
             transmit(CLIENT, c_connection, ACK, 0, 0,                       /* [ATT-3, ACK-5] */
                      stated_received(CLIENT), stated_delivered(CLIENT), stated_sent(CLIENT))
          fi
       :: kind_ == RESET && c_phase == WAITING ->
          /* [RST-4, RST-5, RST-6]: told, discarded, opened anew on the same connection. */
          REACHED(2, "a session is reset and opened anew");
          printf("C: RESET on %d\n", c_connection);
          c_session = NONE; c_secret = NONE; c_attempt = 0;
          reset_counts(CLIENT);
          transmit(CLIENT, c_connection, OPEN, 0, 0, 0, 0, 0)
       :: kind_ == MESSAGE && c_phase == LIVE ->
          take_message(CLIENT, first_)
       :: (kind_ == ACK || kind_ == PONG) && c_phase == LIVE ->
          take_counts(CLIENT, r_, d_, s_)
#if HEARTBEAT
       :: kind_ == PING && c_phase == LIVE ->
          take_counts(CLIENT, r_, d_, s_);
          told[CLIENT] = stated_delivered(CLIENT);
          transmit(CLIENT, c_connection, PONG, 0, 0,                         /* [LIV-3] */
                   stated_received(CLIENT), stated_delivered(CLIENT), stated_sent(CLIENT))
#endif
       :: kind_ == CLOSE ->
          printf("C: CLOSE(superseded, %d) on %d\n", first_, c_connection);
          if
          :: first_ > c_attempt -> CHECK(OWNER, false, TAKEN_OVER); c_phase = OVER   /* [ATT-9] */
          :: else -> c_phase = WAITING                                               /* [ATT-10]: Moves tries the next */
          fi
       :: else -> skip
       fi
     }
  od
}

/* Attempts of two sessions must not be compared: after a RESET the client starts again at 0, and a CLOSE of the
 * session before may still be under way on a connection that belonged to it. [ATT-9, ATT-15] */
#if CLOSE_OF_ANY_SESSION
#define of_this_session(c) true
#else
#define of_this_session(c) ((c) >= c_session)
#endif

#if LATE_ANSWERS
/* Answers that arrive on connections the client has left. [ATT-8, ATT-15] */
proctype ClientReadsLate(byte c) {
end:
  do
  :: d_step { c < c_connection && len(wire(SERVER, c)) > 0 ->
       wire(SERVER, c)?kind_, first_, secret_, r_, d_, s_;
       if
       :: kind_ == RESUMED ->
#if ACCEPT_ANY_RESUMED
          if
          :: c_session != NONE && secret_ >> 4 == c_session ->
             c_secret = secret_;
             printf("C: takes RESUMED %d secret %d, late on %d\n", first_, secret_, c);
             CHECK(SECRET, not_locked_out, LOCKED_OUT)
          :: else -> skip
          fi
#else
          REACHED(3, "an answer to an older attempt arrives late and is ignored")
#endif
       :: kind_ == CLOSE && c_session != NONE && first_ > c_attempt && of_this_session(c) ->
          CHECK(OWNER, false, TAKEN_OVER); c_phase = OVER                     /* [ATT-9, ATT-15] */
#if NO_CLIENT_FENCE
       :: kind_ == MESSAGE && c_session != NONE -> take_message(CLIENT, first_)
#endif
       :: else -> skip
       fi
     }
  od
}
#endif

/* ------------------------------------------------------------------ the server */

/* The end of a connection on the server's side; whatever was under way to it is lost. */
inline server_leaves(l_c) {
  stage[l_c] = CLOSED;
  drain(CLIENT, l_c);
  if
  :: s_connection == l_c -> s_connection = NONE
  :: else -> skip
  fi
}

/* CLOSE(superseded, highest attempt): the connection ends and nothing else changes. [ATT-6, ATT-7] */
inline supersede(u_c) {
  server_leaves(u_c);
  if
  :: has_room(SERVER, u_c) -> transmit(SERVER, u_c, CLOSE, s_attempt, 0, 0, 0, 0)
  :: else -> skip          /* it did not leave in time: the connection ends without a word */
  fi
}

inline server_opens(o_c) {
  wire(CLIENT, o_c)?_, _, _, _, _, _;
  if
  :: o_c != c_connection ->
     /* The client has left already and will never learn this session's name: an orphan. [UNC-2] */
     server_leaves(o_c)
  :: else ->
     s_session = o_c; s_attempt = 0; s_connection = o_c; stage[o_c] = ATTACHED;
     s_confirmed = NONE; s_pending = secret_of(o_c, 0);                        /* [SEC-2] */
     reset_counts(SERVER);
#if HEARTBEAT
     pinged = false;
#endif
     transmit(SERVER, o_c, OPENED, o_c, s_pending, 0, 0, 0)
  fi
}

/* One step without awaiting: re-check, fence, take counts, answer. [ATT-5] */
inline server_attaches(v_c) {
  wire(CLIENT, v_c)?kind_, first_, secret_, r_, d_, s_;
  if
#if !NO_RECHECK
  :: s_session == NONE || !known(secret_) ->
     REACHED(4, "the session or its secret died while it was authenticated");
     stage[v_c] = NEW;
     transmit(SERVER, v_c, RESET, 0, 0, 0, 0, 0)                               /* [ATT-14, RST-3] */
#if !ORDER_BY_ARRIVAL
  :: s_session != NONE && known(secret_) && first_ <= s_attempt ->
     REACHED(5, "a verified attempt is superseded at the re-check");
     printf("S: attempt %d is superseded by %d on %d\n", first_, s_attempt, v_c);
     supersede(v_c)                                                            /* [ATT-6] */
#endif
#endif
  :: else ->
     CHECK(I5, first_ > s_attempt, TWO_LIVE_CONNECTIONS);
     if
     :: s_connection != NONE ->
        REACHED(6, "an attached connection is fenced");
#if NO_FENCE
        skip
#else
        s_attempt = first_;
        i_ = s_connection;
        supersede(i_)                                                          /* [ATT-7] */
#endif
     :: else -> skip
     fi;
     s_attempt = first_; s_connection = v_c; stage[v_c] = ATTACHED;
     /* Rotation: a pending secret that is presented is proved; the new one replaces only the pending. [SEC-2, SEC-3] */
#if PREVIOUS_IS_LAST_ISSUED
     s_confirmed = s_pending;
#elif ONLY_THE_NEWEST_SECRET
     s_confirmed = NONE;
#else
     if
     :: secret_ == s_pending -> REACHED(7, "a pending secret is proved by a RESUME"); s_confirmed = s_pending
     :: else -> REACHED(8, "an unproved pending secret is replaced")
     fi;
#endif
     s_pending = secret_of(s_session, first_);
     CHECK(SECRET, not_locked_out, LOCKED_OUT);   /* whatever becomes of the answer */
     detached_inbox(SERVER);
     printf("S: attempt %d attaches on %d, counts %d %d %d, secret %d\n", first_, v_c,
            stated_received(SERVER), stated_delivered(SERVER), numbered[SERVER], s_pending);
     take_attach_counts(SERVER, r_, d_, s_);
     told[SERVER] = stated_delivered(SERVER);
#if COUNTS_BEFORE_AUTHENTICATION
     transmit(SERVER, v_c, RESUMED, first_, s_pending, noted[v_c], stated_delivered(SERVER), numbered[SERVER])
#else
     transmit(SERVER, v_c, RESUMED, first_, s_pending,
              stated_received(SERVER), stated_delivered(SERVER), numbered[SERVER])
#endif
#if HEARTBEAT
     ; pinged = false
#endif
  fi
}

/* The first ACK after an attach proves the pending secret. [SEC-3, UNC-1] */
inline prove() {
  if
  :: s_pending != NONE ->
     printf("S: secret %d is proved by ACK\n", s_pending);
     s_confirmed = s_pending; s_pending = NONE
  :: else -> skip
  fi;
  CHECK(SECRET, not_locked_out, LOCKED_OUT)
}

proctype ServerReads(byte c) {
end:
  do
  :: d_step { stage[c] == NEW && wire(CLIENT, c)?[OPEN, _, _, _, _, _] ->
       server_opens(c)
     }
  :: d_step { stage[c] == NEW && wire(CLIENT, c)?[RESUME, _, _, _, _, _] ->
       wire(CLIENT, c)?<kind_, first_, secret_, r_, d_, s_>;
       if
       :: s_session != NONE && known(secret_) ->
#if NO_RECHECK
          if
          :: first_ <= s_attempt -> wire(CLIENT, c)?_, _, _, _, _, _; supersede(c)
          :: else -> stage[c] = VERIFIED
          fi
#else
#if COUNTS_BEFORE_AUTHENTICATION
          noted[c] = received[SERVER];
#endif
          stage[c] = VERIFIED      /* the RESUME stays at the head while the authenticator is awaited */
#endif
       :: else ->
          wire(CLIENT, c)?_, _, _, _, _, _;
          transmit(SERVER, c, RESET, 0, 0, 0, 0, 0)                          /* [ATT-14, SEC-6] */
       fi
     }
  :: d_step { stage[c] == VERIFIED ->
       server_attaches(c)
     }
  :: d_step { stage[c] == ATTACHED && len(wire(CLIENT, c)) > 0 ->
       wire(CLIENT, c)?kind_, first_, secret_, r_, d_, s_;
       CHECK(I5, c == s_connection, TWO_LIVE_CONNECTIONS);
       if
       :: kind_ == MESSAGE -> take_message(SERVER, first_)
       :: kind_ == ACK -> prove(); take_counts(SERVER, r_, d_, s_)
#if HEARTBEAT
       :: kind_ == PONG -> pinged = false; take_counts(SERVER, r_, d_, s_)
#endif
       :: else -> skip
       fi
     }
     /* The connection dies here, with what was under way; or its authentication fails. [ATT-16] */
  :: d_step { faults && c < LAST && c <= c_connection && stage[c] != CLOSED ->
       server_leaves(c)
     }
  od
}

#if ENDS
inline forget_session() {
  s_session = NONE; s_connection = NONE; s_confirmed = NONE; s_pending = NONE; s_attempt = 0;
  reset_counts(SERVER)
}

/* The server forgets the session: restart without a store [ATT-14], or the end of the resume period [EXP-1]. */
proctype Forgets() {
end:
  do
  :: d_step { faults && ends < ENDS && s_session != NONE && c_connection < LAST ->
       ends++;
       REACHED(9, "the server restarts without a store");
       forget_session();
       i_ = 0;
       do
       :: i_ <= c_connection -> server_leaves(i_); i_++
       :: else -> break
       od;
       i_ = 0
     }
  :: d_step { faults && ends < ENDS && s_session != NONE && s_connection == NONE ->
       ends++;
       REACHED(10, "a detached session expires");
       forget_session()
     }
  od
}
#endif

/* ------------------------------------------------------------------ what must come true */

#define settled (c_phase == LIVE && s_connection == c_connection && c_session == s_session && \
  application[SERVER] == UP && application[CLIENT] == DOWN && \
  trimmed[CLIENT] == UP && trimmed[SERVER] == DOWN && c_secret == s_confirmed)

/* When nothing can move, everything has arrived and no buffer holds anything. */
proctype Watches() {
end:
  do
  :: atomic { timeout -> REACHED(11, "everything has come to rest"); CHECK(ENDING, settled, STUCK); break }
  od
}

#if LIVENESS
proctype Calms() {
  quiet = true
}

/* Time passes even where nothing else can. Without this a run that has come to rest would be finite, and
 * Spin's weak fairness does not extend finite runs: the formula would say nothing about them. */
proctype Waits() {
end:
  do
  :: i_ = 0
  od
}
ltl converges { <>[] settled }
#endif

init {
  byte c;
  atomic {
    c_session = NONE; s_session = NONE; s_connection = NONE;
    wire(CLIENT, 0)!OPEN, 0, 0, 0, 0, 0;
    run Sends(CLIENT); run Sends(SERVER);
    run Takes(CLIENT); run Takes(SERVER);
    run Acknowledges(CLIENT); run Acknowledges(SERVER);
    run Moves(); run ClientReads();
    c = 0;
    do
    :: c < CONNECTIONS ->
       run ServerReads(c);
#if LATE_ANSWERS
       if
       :: c < LAST -> run ClientReadsLate(c)
       :: else -> skip
       fi;
#endif
       c++
    :: else -> break
    od;
    c = 0;
#if ENDS
    run Forgets();
#endif
#if LIVENESS
    run Calms(); run Waits()
#else
    run Watches()
#endif
  }
}
