use super::*;
use crate::net::{Io, Side, Socket};
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::runtime::Builder;

fn running() -> (LoopHandle, JoinHandle<()>) {
    let event_loop = EventLoop::new().unwrap();
    (event_loop.handle(), thread::spawn(|| event_loop.run()))
}

/// With a loop that runs, where tokio is entered. The loop must end when it is told to.
fn with_loop(test: impl FnOnce(&LoopHandle)) {
    let (event_loop, thread) = running();
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    let _entered = runtime.enter();
    test(&event_loop);
    event_loop.stop();
    thread.join().unwrap();
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// As tokio has them: one of each kind.
fn streams() -> (TcpStream, UnixStream, Socket, Socket) {
    let (client, near) = tcp_pair();
    let (far, upstream) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    let near = tokio::net::TcpStream::from_std(near).unwrap().into();
    let far = tokio::net::UnixStream::from_std(far).unwrap().into();
    (client, upstream, near, far)
}

/// Copies between both until both have ended, and says so.
fn copy(event_loop: &LoopHandle, mut near: Socket, mut far: Socket) -> mpsc::Receiver<(u64, u64)> {
    let (done, over) = mpsc::channel();
    event_loop.spawn(|seat| {
        near.take_seat(seat, Side::Client);
        far.take_seat(seat, Side::Upstream);
        async move {
            let copied = copy_bidirectional(&mut near, &mut far).await;
            let _ = done.send(copied.unwrap());
        }
    });
    over
}

fn pattern(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 7 + i / 1000 + salt) as u8).collect()
}

/// Much more than the sockets hold, both ways, and what each side said before it ended.
#[test]
fn every_byte_arrives_though_the_other_side_is_slow() {
    with_loop(|event_loop| {
        let (mut client, mut upstream, near, far) = streams();
        let over = copy(event_loop, near, far);
        let (up, down) = (pattern(20 << 20, 1), pattern(20 << 20, 2));
        thread::scope(|scope| {
            let mut talker = client.try_clone().unwrap();
            let (up, down) = (&up, &down);
            scope.spawn(move || {
                talker.write_all(up).unwrap();
                talker.shutdown(Shutdown::Write).unwrap();
            });
            let mut talker = upstream.try_clone().unwrap();
            scope.spawn(move || {
                talker.write_all(down).unwrap();
                talker.shutdown(Shutdown::Write).unwrap();
            });
            let reader = scope.spawn(move || {
                let mut got = Vec::new();
                // All buffers are full by then.
                thread::sleep(Duration::from_millis(100));
                client.read_to_end(&mut got).unwrap();
                got
            });
            let mut got = Vec::new();
            upstream.read_to_end(&mut got).unwrap();
            assert!(&got == up);
            assert!(&reader.join().unwrap() == down);
        });
        assert_eq!(over.recv().unwrap(), (20 << 20, 20 << 20));
    });
}

#[test]
fn a_first_turn_may_say_more_than_the_socket_takes() {
    with_loop(|event_loop| {
        let (mut client, _upstream, mut near, _far) = streams();
        let said = pattern(20 << 20, 3);
        let to_say = said.clone();
        event_loop.spawn(|seat| {
            near.take_seat(seat, Side::Client);
            async move { near.write_all(&to_say).await.unwrap() }
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert!(got == said);
    });
}

#[test]
fn what_came_before_the_seat_and_the_end_right_behind_it_are_seen() {
    with_loop(|event_loop| {
        for _ in 0..200 {
            let (mut client, mut upstream, near, far) = streams();
            client.write_all(b"early").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let over = copy(event_loop, near, far);
            let mut got = String::new();
            upstream.read_to_string(&mut got).unwrap();
            assert_eq!(got, "early");
            drop(upstream);
            assert_eq!(over.recv().unwrap(), (5, 0));
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        let seats = event_loop.lock().seats;
        assert!(seats <= 2, "{seats} seats for one session at a time");
    });
}

type ToWake = (Arc<AtomicBool>, Waker);

/// Pending until another thread has said so, and woken it.
async fn woken_from_elsewhere(wakers: &mpsc::Sender<ToWake>) {
    let said = Arc::new(AtomicBool::new(false));
    let mut asked = false;
    poll_fn(|cx| {
        if said.load(Ordering::Relaxed) {
            return task::Poll::Ready(());
        }
        if !asked {
            asked = true;
            wakers.send((said.clone(), cx.waker().clone())).unwrap();
        }
        task::Poll::Pending
    })
    .await;
}

#[test]
fn no_wake_is_lost_whoever_wakes_and_however_early() {
    with_loop(|event_loop| {
        let (wakers, to_wake) = mpsc::channel::<ToWake>();
        let waking = thread::spawn(move || {
            for (said, waker) in to_wake {
                said.store(true, Ordering::Relaxed);
                waker.wake();
            }
        });
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..2000 {
            let (wakers, done) = (wakers.clone(), done.clone());
            event_loop.spawn(|_| async move {
                // The first turn is taken before it has arrived.
                for _ in 0..3 {
                    woken_from_elsewhere(&wakers).await;
                    // And by itself, inside a turn.
                    yield_now().await;
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        drop(wakers);
        let until = Instant::now() + Duration::from_secs(30);
        while done.load(Ordering::Relaxed) < 2000 {
            assert!(Instant::now() < until, "{done:?} of 2000");
            thread::sleep(Duration::from_millis(1));
        }
        waking.join().unwrap();
    });
}

async fn yield_now() {
    let mut first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return task::Poll::Pending;
        }
        task::Poll::Ready(())
    })
    .await;
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_loop_that_stops_drops_its_tasks_and_those_that_come_later() {
    let (event_loop, thread) = running();
    let dropped = Arc::new(AtomicUsize::new(0));
    let spawn = || {
        let counted = Counted(dropped.clone());
        event_loop.spawn(|_| async move {
            let _counted = counted;
            std::future::pending::<()>().await;
        });
    };
    (0..10).for_each(|_| spawn());
    event_loop.stop();
    thread.join().unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 10);
    spawn();
    assert_eq!(dropped.load(Ordering::Relaxed), 11);
}

#[test]
fn a_socket_that_cannot_be_watched_is_an_error_and_no_endless_wait() {
    with_loop(|event_loop| {
        let (_client, _upstream, mut near, far) = streams();
        // A plain file is nothing that epoll can watch.
        drop(far);
        let file = tempfile::tempfile().unwrap();
        let (done, over) = mpsc::channel();
        event_loop.spawn(|seat| {
            near.take_seat(seat, Side::Client);
            seat.take(Side::Upstream, std::os::fd::AsRawFd::as_raw_fd(&file));
            async move {
                let _ = done.send(near.read_u8().await.map_err(|e| e.to_string()));
                drop(file);
            }
        });
        let error = over.recv_timeout(Duration::from_secs(10)).unwrap().unwrap_err();
        assert_eq!(error, "the socket cannot be watched");
    });
}

/// As tokio does it: what a peer that is gone would have been told is no error.
#[test]
fn the_end_of_a_connection_that_was_reset_can_be_said() {
    with_loop(|event_loop| {
        let (client, _upstream, mut near, _far) = streams();
        let (done, over) = mpsc::channel();
        event_loop.spawn(|seat| {
            near.take_seat(seat, Side::Client);
            async move {
                let read = near.read_u8().await.map_err(|e| e.kind());
                let _ = done.send((read, near.shutdown().await.is_ok()));
            }
        });
        let client = socket2::Socket::from(client);
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let (read, shut_down) = over.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(read, Err(io::ErrorKind::ConnectionReset));
        assert!(shut_down);
    });
}

#[test]
fn a_task_that_panics_ends_alone() {
    with_loop(|event_loop| {
        event_loop.spawn(|_| async {
            yield_now().await;
            panic!("this is the test's");
        });
        let (done, over) = mpsc::channel();
        event_loop.spawn(|_| async move {
            yield_now().await;
            done.send(()).unwrap();
        });
        over.recv().unwrap();
    });
}
